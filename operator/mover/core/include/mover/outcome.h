// How a verb ended, and how that is said: the termination message and lines of the log (docs/mover.md, Channels).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace rollback::mover {

struct Outcome {
  enum class Kind { Succeeded, Refused, Failed };
  Kind kind = Kind::Succeeded;
  std::string code, message;  // of a refusal or failure
  std::string result;         // JSON, of a success
};

const char* toString(Outcome::Kind kind);

Outcome succeeded(std::string resultJson);
// A condition was found before anything was changed.
Outcome refused(const Error& error);
// Something went wrong in the middle; nothing a user owns was lost.
Outcome failed(const Error& error);
// The code an error is told by: its `reason` if that is one of ours, "SqlError" for an error of the server, else its
// ErrorCode.
std::string codeOf(const Error& error);

Error problem(ErrorCode code, std::string reason, std::string message);
// `what` was attempted when `error` happened: "reading the catalog of shop: …".
Error during(const std::string& what, Error error);

struct Report {
  std::string terminationMessage;        // at most 3 KiB
  std::vector<std::string> resultLines;  // "FRB-RESULT <index> <base64>", empty if the result is in the message
  // "FRB-OUTCOME <message>": said last of all; empty if there are result lines.
  std::string lastLine() const { return resultLines.empty() ? "FRB-OUTCOME " + terminationMessage : ""; }
};
// `secrets` are blotted out of the message, wherever they came from.
Report report(const Outcome& outcome, const std::string& token, const std::vector<std::string>& secrets);

}  // namespace rollback::mover
