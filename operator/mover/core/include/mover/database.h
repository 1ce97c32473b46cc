// SQL, as the mover's steps see it: a session logged in to one database as one of two roles.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace rollback::mover {

using Field = std::optional<std::string>;  // nullopt: NULL
using Row = std::vector<Field>;
using Rows = std::vector<Row>;

// Which of the task's credentials logs in. Whatever an archive contains runs only in sessions of App; Admin creates,
// renames and drops databases and creates extensions. Without admin credentials Admin means the application's role too.
enum class Login { App, Admin };

struct SessionOptions {
  bool readOnly = false;      // default_transaction_read_only
  bool interruptible = true;  // false: a stop request does not end a statement that runs (a swap is never cut)
};

// One session. Its end ends its transaction and frees its advisory locks. Not thread-safe.
//
// Every session pins what makes the text of a value depend on who asks (TimeZone, DateStyle, IntervalStyle,
// extra_float_digits, bytea_output, lc_monetary), an empty search_path, no time limits of the server's own, and
// synchronous_commit=on.
class Session {
 public:
  virtual ~Session() = default;
  // One statement, without a semicolon at its end. An error of the server has its SQLSTATE as `reason` and leaves the
  // session usable; ConnectionLost and Timeout end the session, and nobody knows whether the statement was executed.
  virtual Result<Rows> query(const std::string& statement, Deadline deadline) = 0;
};

// Thread-compatible. Owns no session.
class Database {
 public:
  virtual ~Database() = default;
  // Unavailable (reason CannotConnect, ServerStarting, TooManyConnections): may be tried again. Unauthorized
  // (WrongPassword), Forbidden (MayNotConnect, NotAcceptingConnections), NotFound (DatabaseMissing): will stay so.
  virtual Result<std::unique_ptr<Session>> open(const std::string& database, Login login, SessionOptions options,
                                                Deadline deadline) = 0;
  virtual std::string user(Login login) const = 0;
};

// The SQLSTATE of an error of the server, empty if the error is none of the server's.
std::string sqlState(const Error& error);
// The session is gone and with it the knowledge of what the last statement did.
bool connectionLost(const Error& error);

// A field as text ("" for NULL), as an integer (0 if it is none), as a boolean.
const std::string& text(const Row& row, std::size_t column);
long long number(const Row& row, std::size_t column);
bool truth(const Row& row, std::size_t column);

}  // namespace rollback::mover
