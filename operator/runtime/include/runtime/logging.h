// Structured logs: a message and fields, one line each, as text or JSON. The one process-wide object of the runtime.
//
//   log(Level::Info, "backup verified", {{"namespace", ns}, {"name", name}, {"bytes", 1234}});
//
// Values are escaped: nobody's input can forge a line or a field. No secrets, no bodies of requests or answers.
#pragma once

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace rollback::runtime {

enum class Level { Debug, Info, Warn, Error };

// A name and a value; numbers and booleans stay such in JSON.
struct Field {
  Field(std::string_view name, std::string_view text) : key(name), value(text) {}
  Field(std::string_view name, const char* text) : key(name), value(text) {}
  Field(std::string_view name, const std::string& text) : key(name), value(text) {}
  Field(std::string_view name, bool yes) : key(name), value(yes ? "true" : "false"), literal(true) {}
  template <typename N, typename = std::enable_if_t<std::is_integral_v<N>>>
  Field(std::string_view name, N number) : key(name), value(std::to_string(number)), literal(true) {}
  Field(std::string_view name, Millis time) : key(name), value(std::to_string(time.count()) + "ms") {}
  Field(std::string_view name, const Error& error);  // "NotFound: …"

  std::string key, value;
  bool literal = false;
};

struct LogOptions {
  std::string format = "text";  // text | json
  std::string level = "info";   // debug | info | warn | error
  // Where lines go, without a newline; called under the logger's lock. Default: standard error.
  std::function<void(std::string_view line)> sink{};
};

// Before threads are started. BadInput names the option and what it may be.
Result<void> setUpLogging(const LogOptions& options);

// Thread-safe; before setUpLogging(), text at level info. Never throws.
void log(Level level, std::string_view message, std::initializer_list<Field> fields = {});
bool logEnabled(Level level);
void flushLogs();

// Adds fields to every line this thread logs, while it lives. Not copied, not moved, not shared.
class LogScope {
 public:
  LogScope(std::initializer_list<Field> fields);
  ~LogScope();
  LogScope(const LogScope&) = delete;
  LogScope& operator=(const LogScope&) = delete;

 private:
  std::size_t count_;
};

}  // namespace rollback::runtime
