// Runs a program for its standard output, with a deadline; no shell.
#pragma once

#include <string>

#include "base/result.h"
#include "kube/client/credentials.h"

namespace rollback::kube {

// Standard output (at most 1 MiB) of the program if it exits with 0 in time. Standard input is /dev/null, standard
// error is ours: what a plugin says there is for people, and may be anything. The program gets a process group of its
// own, all of which is killed at the deadline or when it said too much. Thread-safe. NotFound: no such program.
Result<std::string> runChild(const PluginCommand& command);

}  // namespace rollback::kube
