#include "edge/psql_database.h"

#include "edge/child.h"
#include "mover/digest.h"
#include "mover/outcome.h"

namespace rollback::mover {
namespace {

constexpr Millis kTick{100};               // between looks at deadline and stop
constexpr std::size_t kErrorsKept = 8192;  // of psql's standard error

// Pinned in every session (mover/database.h). One statement, so it works behind a pooler that knows no startup options.
constexpr char kPins[] =
    "select set_config(name, value, false) from (values ('TimeZone', 'UTC'), ('DateStyle', 'ISO, MDY'), "
    "('IntervalStyle', 'postgres'), "
    "('extra_float_digits', '3'), ('bytea_output', 'hex'), ('lc_monetary', 'C'), ('search_path', ''), "
    "('statement_timeout', '0'), ('lock_timeout', '0'), "
    "('idle_in_transaction_session_timeout', '0'), ('idle_session_timeout', '0'), ('synchronous_commit', 'on'), "
    "('standard_conforming_strings', 'on'), "
    "('client_min_messages', 'warning'), ('default_transaction_isolation', 'read committed'), "
    "('default_transaction_read_only', ";

class PsqlSession final : public Session {
 public:
  PsqlSession(const Clock& clock, const Stop& stop, bool interruptible, PsqlWords words)
      : clock_(clock), stop_(stop), interruptible_(interruptible), words_(std::move(words)) {}

  Result<void> start(const std::map<std::string, std::string>& environment) {
    return child_.start({"psql", "-X", "-q", "-A", "-t", "-0", "-w", "-F", words_.field, "-P", "null=" + words_.null,
                         "-v", "ON_ERROR_STOP=0"},
                        environment);
  }

  Result<Rows> query(const std::string& statement, Deadline deadline) override {
    if (over_) return Error{ErrorCode::ConnectionLost, "the session is over"};
    errors_.clear();
    if (!child_.write(statement + "\n;\n\\echo " + words_.end +
                          " :ERROR :SQLSTATE\n\\echo :LAST_ERROR_MESSAGE\n\\echo " + words_.end + ".\n",
                      deadline, clock_))
      return lost();
    for (;;) {
      PsqlAnswer answer = readAnswer(buffer_, words_);
      if (answer.complete) {
        buffer_.erase(0, answer.consumed);
        if (!answer.failed) return std::move(answer.rows);
        Error error = problem(ErrorCode::Conflict, answer.sqlState, answer.message);
        if (connectionLost(error)) over_ = true;
        return error;
      }
      const auto event = child_.wait(kTick, buffer_, errors_);
      if (errors_.size() > kErrorsKept) errors_.erase(0, errors_.size() - kErrorsKept);
      if (event == Child::Event::Ended) return lost();
      if (deadline.expired(clock_)) {
        over_ = true;
        return Error{ErrorCode::Timeout, "the server did not answer in time"};
      }
      if (interruptible_ && stop_.requested()) {
        over_ = true;
        return problem(ErrorCode::Cancelled, "Cancelled", "asked to end");
      }
    }
  }

  const std::string& errors() const { return errors_; }

 private:
  Error lost() {
    over_ = true;
    // Its last words may still be in the pipe.
    while (child_.wait(kTick, buffer_, errors_) == Child::Event::Errors) {
    }
    return Error{ErrorCode::ConnectionLost, "the connection to the server was lost"};
  }

  const Clock& clock_;
  const Stop& stop_;
  bool interruptible_;
  PsqlWords words_;
  Child child_;
  std::string buffer_, errors_;
  bool over_ = false;
};

bool says(const std::string& text, const char* what) { return text.find(what) != std::string::npos; }

}  // namespace

PsqlAnswer readAnswer(const std::string& buffer, const PsqlWords& words) {
  PsqlAnswer out;
  const std::string last = words.end + ".\n";
  const std::size_t tail = buffer.find(last);
  if (tail == std::string::npos) return out;
  out.complete = true;
  out.consumed = tail + last.size();
  // "<rows><end> ERROR SQLSTATE\n<message>\n<end>.\n"
  const std::size_t head = buffer.find(words.end + " ");
  const std::size_t line = buffer.find('\n', head);
  const std::string verdict = buffer.substr(head + words.end.size() + 1, line - head - words.end.size() - 1);
  const std::size_t space = verdict.find(' ');
  out.failed = verdict.substr(0, space) != "false";
  out.sqlState = space == std::string::npos ? "" : verdict.substr(space + 1);
  if (line + 1 < tail) out.message = buffer.substr(line + 1, tail - line - 2);
  for (std::size_t at = 0; at < head && !out.failed;) {
    const std::size_t end = std::min(buffer.find('\0', at), head);
    Row row;
    for (std::size_t from = at;;) {
      const std::size_t to = std::min(buffer.find(words.field, from), end);
      std::string field = buffer.substr(from, to - from);
      row.push_back(field == words.null ? Field() : Field(std::move(field)));
      if (to == end) break;
      from = to + words.field.size();
    }
    out.rows.push_back(std::move(row));
    at = end + 1;
  }
  return out;
}

Error connectError(const std::string& errors, const std::string& database, const std::string& user,
                   const std::string& host) {
  std::string words = errors;
  while (!words.empty() && (words.back() == '\n' || words.back() == ' ')) words.pop_back();
  const std::string where = "connecting to database " + database + " at " + host + " as " + user + ": ";
  if (words.empty()) words = "psql ended without a word";
  const auto as = [&](ErrorCode code, const char* reason) { return problem(code, reason, where + words); };
  if (says(words, "password authentication failed") || says(words, "no password supplied") ||
      says(words, "authentication failed"))
    return as(ErrorCode::Unauthorized, "WrongPassword");
  if (says(words, "not currently accepting connections")) return as(ErrorCode::Forbidden, "NotAcceptingConnections");
  if (says(words, "permission denied for database") || says(words, "is not permitted to log in") ||
      says(words, "no pg_hba.conf entry"))
    return as(ErrorCode::Forbidden, "MayNotConnect");
  if (says(words, "database \"") && says(words, "does not exist")) return as(ErrorCode::NotFound, "DatabaseMissing");
  if (says(words, "role \"") && says(words, "does not exist")) return as(ErrorCode::Unauthorized, "WrongPassword");
  if (says(words, "too many") || says(words, "remaining connection slots"))
    return as(ErrorCode::Unavailable, "TooManyConnections");
  if (says(words, "starting up") || says(words, "shutting down") || says(words, "recovery mode"))
    return as(ErrorCode::Unavailable, "ServerStarting");
  return as(ErrorCode::Unavailable, "CannotConnect");
}

Result<std::unique_ptr<Session>> PsqlDatabase::open(const std::string& database, Login login, SessionOptions options,
                                                    Deadline deadline) {
  const auto word = [&](const char* mark) { return mark + toHex(random_.bytes(12)); };
  auto session =
      std::make_unique<PsqlSession>(clock_, stop_, options.interruptible, PsqlWords{word("f"), word("n"), word("e")});
  if (auto ok = session->start(libpqEnvironment(target_, credentials_, caFile_, database, login)); !ok)
    return ok.error();
  const std::string pins =
      std::string(kPins) + (options.readOnly ? "'on'" : "'off'") +
      ")) pins (name, value) where exists (select from pg_catalog.pg_settings s where s.name = pins.name)";
  // psql gives up by itself after PGCONNECT_TIMEOUT.
  auto pinned = session->query(pins, deadline.earlier(Deadline::after(clock_, Millis(20'000))));
  if (!pinned && sqlState(pinned.error()).empty()) {
    if (pinned.error().code == ErrorCode::Cancelled) return pinned.error();
    return connectError(session->errors(), database, credentials_.user(login), target_.sessionHost());
  }
  if (!pinned) return during("preparing the session", pinned.error());
  return std::unique_ptr<Session>(std::move(session));
}

}  // namespace rollback::mover
