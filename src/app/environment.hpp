// Secrets may come in variables, and the kernel shows the variables a process began with to everybody who runs as the
// same user: /proc/PID/environ, `ps e`. An agent's shell in the same container is such a user.
#pragma once

namespace ocgate::app {

/// Moves what the variables say from where the kernel looks for it to the heap, and wipes it there; the names stay.
/// getenv goes on as before. To be called once, before there is a second thread.
void hide_environment();

}  // namespace ocgate::app
