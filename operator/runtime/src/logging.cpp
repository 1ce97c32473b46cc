#include "runtime/logging.h"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace rollback::runtime {
namespace {

enum class Format { Text, Json };

class FunctionSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit FunctionSink(std::function<void(std::string_view)> write) : write_(std::move(write)) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    write_(std::string_view(message.payload.data(), message.payload.size()));
  }
  void flush_() override {}

  std::function<void(std::string_view)> write_;
};

// The pattern holds nothing but the line: spdlog writes and locks, the line is ours, escaped.
std::shared_ptr<spdlog::logger> makeLogger(spdlog::sink_ptr sink, spdlog::level::level_enum level) {
  auto logger = std::make_shared<spdlog::logger>("", std::move(sink));
  logger->set_formatter(std::make_unique<spdlog::pattern_formatter>("%v", spdlog::pattern_time_type::utc, "\n"));
  logger->set_level(level);
  logger->flush_on(spdlog::level::warn);
  return logger;
}

// Changed only before threads are started. Never destroyed: a thread that outlives main() may still log.
struct State {
  Format format = Format::Text;
  std::shared_ptr<spdlog::logger> logger =
      makeLogger(std::make_shared<spdlog::sinks::stderr_sink_mt>(), spdlog::level::info);
};

State& state() {
  static State& only = *new State;
  return only;
}

thread_local std::vector<Field> scopeFields;

spdlog::level::level_enum levelOf(Level level) {
  switch (level) {
    case Level::Debug: return spdlog::level::debug;
    case Level::Info: return spdlog::level::info;
    case Level::Warn: return spdlog::level::warn;
    case Level::Error: return spdlog::level::err;
  }
  return spdlog::level::err;
}

const char* nameOf(Level level) {
  switch (level) {
    case Level::Debug: return "debug";
    case Level::Info: return "info";
    case Level::Warn: return "warn";
    case Level::Error: return "error";
  }
  return "error";
}

// A JSON string. Beyond what JSON demands, DEL and U+0080 to U+009F are escaped: terminals obey some of them.
std::string jsonString(std::string_view text) {
  const std::string dumped =
      nlohmann::json(std::string(text)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  static const char* const kHex = "0123456789abcdef";
  std::string out;
  for (std::size_t i = 0; i < dumped.size(); ++i) {
    const auto c = static_cast<unsigned char>(dumped[i]);
    const auto next = i + 1 < dumped.size() ? static_cast<unsigned char>(dumped[i + 1]) : 0u;
    if (c == 0x7f) {
      out += "\\u007f";
    } else if (c == 0xc2 && next >= 0x80 && next <= 0x9f) {
      out += "\\u00";
      out += kHex[next >> 4];
      out += kHex[next & 15];
      ++i;
    } else {
      out += dumped[i];
    }
  }
  return out;
}

// As it is if nothing in it could be taken for something else, a JSON string otherwise.
std::string plainOrQuoted(std::string_view text, bool spaces) {
  const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return c > ' ' ? c != '"' && c != '=' && c != '\\' && c != 0x7f : c == ' ' && spaces;
  });
  return plain ? std::string(text) : jsonString(text);
}

// The scope's fields, then the line's; a name given twice keeps its place and takes the later value.
std::vector<Field> merged(std::initializer_list<Field> fields) {
  std::vector<Field> out;
  const auto put = [&](const Field& field) {
    const auto same = std::find_if(out.begin(), out.end(), [&](const Field& each) { return each.key == field.key; });
    if (same == out.end()) {
      out.push_back(field);
    } else {
      *same = field;
    }
  };
  for (const Field& field : scopeFields) put(field);
  for (const Field& field : fields) put(field);
  return out;
}

// Milliseconds; formatMicroTime() always ends in "000Z".
std::string timestamp() {
  std::string text = formatMicroTime(systemClock().wall());
  text.replace(text.size() - 4, 4, "Z");
  return text;
}

std::string textLine(Level level, std::string_view message, const std::vector<Field>& fields) {
  std::string name = nameOf(level);
  std::transform(name.begin(), name.end(), name.begin(), [](char c) { return static_cast<char>(c - 'a' + 'A'); });
  name.resize(5, ' ');
  std::string line = timestamp() + " " + name + " " + plainOrQuoted(message, true);
  for (const Field& field : fields) line += " " + plainOrQuoted(field.key, false) + "=" + plainOrQuoted(field.value, false);
  return line;
}

std::string jsonLine(Level level, std::string_view message, const std::vector<Field>& fields) {
  std::string line = R"({"ts":")" + timestamp() + R"(","level":")" + nameOf(level) + R"(","msg":)" + jsonString(message);
  for (const Field& field : fields) {
    const bool taken = field.key == "ts" || field.key == "level" || field.key == "msg";
    line += "," + jsonString(taken ? field.key + "_" : field.key) + ":" + (field.literal ? field.value : jsonString(field.value));
  }
  return line + "}";
}

}  // namespace

Field::Field(std::string_view name, const Error& error)
    : key(name), value(std::string(toString(error.code)) + ": " + error.message) {}

Result<void> setUpLogging(const LogOptions& options) {
  Format format = Format::Text;
  if (options.format == "json") {
    format = Format::Json;
  } else if (options.format != "text") {
    return Error{ErrorCode::BadInput, "log format \"" + options.format + "\" is not known; it may be text or json"};
  }
  std::optional<Level> level;
  for (const Level each : {Level::Debug, Level::Info, Level::Warn, Level::Error}) {
    if (options.level == nameOf(each)) level = each;
  }
  if (!level) {
    return Error{ErrorCode::BadInput,
                 "log level \"" + options.level + "\" is not known; it may be debug, info, warn or error"};
  }
  spdlog::sink_ptr sink;
  if (options.sink) {
    sink = std::make_shared<FunctionSink>(options.sink);
  } else {
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  }
  state().format = format;
  state().logger = makeLogger(std::move(sink), levelOf(*level));
  return {};
}

bool logEnabled(Level level) { return state().logger->should_log(levelOf(level)); }

void log(Level level, std::string_view message, std::initializer_list<Field> fields) {
  if (!logEnabled(level)) return;
  try {
    const std::vector<Field> all = merged(fields);
    const std::string line =
        state().format == Format::Json ? jsonLine(level, message, all) : textLine(level, message, all);
    state().logger->log(levelOf(level), spdlog::string_view_t(line.data(), line.size()));
  } catch (...) {  // Out of memory: a line less, but the caller goes on.
  }
}

void flushLogs() { state().logger->flush(); }

LogScope::LogScope(std::initializer_list<Field> fields) : count_(fields.size()) {
  scopeFields.insert(scopeFields.end(), fields.begin(), fields.end());
}

LogScope::~LogScope() { scopeFields.erase(scopeFields.end() - static_cast<std::ptrdiff_t>(count_), scopeFields.end()); }

}  // namespace rollback::runtime
