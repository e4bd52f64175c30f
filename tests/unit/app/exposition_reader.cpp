// The tests of `ops` have a strict reader of expositions; this program uses it, too.
#include "unit/ops/exposition.cpp"  // NOLINT(bugprone-suspicious-include)
