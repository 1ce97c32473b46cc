#include "runtime/logging.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>

namespace rollback::runtime {
namespace {

using nlohmann::json;

// The line is built here, escaped; spdlog gets it as it is, and brings levels, sinks and their locks.
class CallbackSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit CallbackSink(std::function<void(std::string_view)> to) : to_(std::move(to)) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    to_(std::string_view(message.payload.data(), message.payload.size()));
  }
  void flush_() override {}
  const std::function<void(std::string_view)> to_;
};

struct Logger {
  std::shared_ptr<spdlog::logger> lines;
  bool json = false;
};

std::shared_ptr<const Logger> makeLogger(const LogOptions& options, spdlog::level::level_enum level) {
  spdlog::sink_ptr sink;
  if (options.sink) {
    sink = std::make_shared<CallbackSink>(options.sink);
  } else {
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  }
  auto made = std::make_shared<Logger>();
  made->lines = std::make_shared<spdlog::logger>("", std::move(sink));
  made->lines->set_pattern("%v");
  made->lines->set_level(level);
  made->lines->flush_on(spdlog::level::err);
  made->lines->set_error_handler([](const std::string&) {});  // a full disk under standard error is nobody's news
  made->json = options.format == "json";
  return made;
}

std::shared_ptr<const Logger>& slot() {
  static std::shared_ptr<const Logger> logger = makeLogger(LogOptions{}, spdlog::level::info);
  return logger;
}

std::shared_ptr<const Logger> logger() { return std::atomic_load(&slot()); }

spdlog::level::level_enum toSpdlog(Level level) {
  switch (level) {
    case Level::Debug:
      return spdlog::level::debug;
    case Level::Info:
      return spdlog::level::info;
    case Level::Warn:
      return spdlog::level::warn;
    case Level::Error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

const char* word(Level level) {
  switch (level) {
    case Level::Debug:
      return "debug";
    case Level::Info:
      return "info";
    case Level::Warn:
      return "warn";
    case Level::Error:
      return "error";
  }
  return "info";
}

// The fields of the LogScopes of this thread, outermost first.
std::vector<Field>& scoped() {
  thread_local std::vector<Field> fields;
  return fields;
}

std::string quoted(const std::string& text, bool ascii) {
  return json(text).dump(-1, ' ', ascii, json::error_handler_t::replace);
}

// Bare if it is one plain word; else a JSON string in ASCII, so that no terminal obeys it.
std::string word(const std::string& text) {
  const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return c > ' ' && c < 0x7f && c != '"' && c != '=' && c != '\\';
  });
  return plain ? text : quoted(text, true);
}

std::string sentence(std::string_view text) {
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7f; });
  return plain ? std::string(text) : quoted(std::string(text), true);
}

std::string formatNow() {
  std::string text = formatMicroTime(systemClock().wall());  // ….123000Z
  text.replace(text.size() - 4, 4, "Z");
  return text;
}

// Scoped fields but those the call repeats, then the call's own.
std::vector<const Field*> merge(std::initializer_list<Field> fields) {
  std::vector<const Field*> out;
  for (const Field& outer : scoped()) {
    const bool repeated =
        std::any_of(fields.begin(), fields.end(), [&](const Field& each) { return each.key == outer.key; });
    if (!repeated) out.push_back(&outer);
  }
  for (const Field& each : fields) out.push_back(&each);
  return out;
}

std::string jsonLine(Level level, std::string_view message, const std::vector<const Field*>& fields) {
  std::string out =
      R"({"ts":")" + formatNow() + R"(","level":")" + word(level) + R"(","msg":)" + quoted(std::string(message), false);
  for (const Field* each : fields) {
    const bool reserved = each->key == "ts" || each->key == "level" || each->key == "msg";
    out += "," + quoted(reserved ? each->key + "_" : each->key, false) + ":" +
           (each->literal ? each->value : quoted(each->value, false));
  }
  return out + "}";
}

std::string textLine(Level level, std::string_view message, const std::vector<const Field*>& fields) {
  std::string name = word(level);
  for (char& c : name) c = static_cast<char>(c - 'a' + 'A');
  std::string out = formatNow() + " " + name + std::string(name.size() < 5 ? 2 : 1, ' ') + sentence(message);
  for (const Field* each : fields) out += " " + word(each->key) + "=" + word(each->value);
  return out;
}

}  // namespace

Field::Field(std::string_view name, const Error& error)
    : key(name), value(std::string(toString(error.code)) + ": " + error.message) {}

Result<void> setUpLogging(const LogOptions& options) {
  if (options.format != "text" && options.format != "json") {
    return Error{ErrorCode::BadInput, "log format '" + options.format + "' is unknown: use text or json"};
  }
  // Not spdlog's own parser: it takes an unknown word for "off".
  const std::vector<std::pair<std::string, spdlog::level::level_enum>> levels{{"debug", spdlog::level::debug},
                                                                              {"info", spdlog::level::info},
                                                                              {"warn", spdlog::level::warn},
                                                                              {"error", spdlog::level::err}};
  const auto level =
      std::find_if(levels.begin(), levels.end(), [&](const auto& each) { return each.first == options.level; });
  if (level == levels.end()) {
    return Error{ErrorCode::BadInput, "log level '" + options.level + "' is unknown: use debug, info, warn or error"};
  }
  std::atomic_store(&slot(), makeLogger(options, level->second));
  return {};
}

bool logEnabled(Level level) { return logger()->lines->should_log(toSpdlog(level)); }

void log(Level level, std::string_view message, std::initializer_list<Field> fields) {
  try {
    const std::shared_ptr<const Logger> to = logger();
    if (!to->lines->should_log(toSpdlog(level))) return;
    const std::vector<const Field*> all = merge(fields);
    const std::string line = to->json ? jsonLine(level, message, all) : textLine(level, message, all);
    to->lines->log(toSpdlog(level), spdlog::string_view_t(line.data(), line.size()));
  } catch (const std::exception&) {
    // Out of memory: whatever the caller does is more important than that it is written down.
  }
}

void flushLogs() { logger()->lines->flush(); }

LogScope::LogScope(std::initializer_list<Field> fields) : count_(fields.size()) {
  scoped().insert(scoped().end(), fields.begin(), fields.end());
}

LogScope::~LogScope() { scoped().resize(scoped().size() - count_, Field("", "")); }

}  // namespace rollback::runtime
