// The names the rest of the house uses for Asio's types. One executor type everywhere: concrete, not type-erased.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

#include "ocgate/base/failure.hpp"

namespace ocgate::rt {

namespace asio = boost::asio;

using Executor = asio::io_context::executor_type;

/// For what is made of Asio's and Beast's objects; everything else is told in Tasks (task.hpp).
template <class T>
using Awaitable = asio::awaitable<T, Executor>;

/// Completion token: errors come back as values, `auto [error, n] = co_await s.async_read_some(buffer, nothrow)`.
inline constexpr asio::as_tuple_t<asio::use_awaitable_t<Executor>> nothrow{asio::use_awaitable_t<Executor>{}};

using Instant = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;

}  // namespace ocgate::rt
