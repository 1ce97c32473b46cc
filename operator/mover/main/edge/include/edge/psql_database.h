// Database over psql co-processes of the user's own image: `psql -X`, statements by standard input, one session each.
//
// Framing: fields end with a random word, records with NUL (no text of PostgreSQL holds one), NULL is another random
// word, and after each statement \echo prints a third with the SQLSTATE. So no value can be mistaken for the frame.
#pragma once

#include <memory>
#include <string>

#include "edge/connection.h"
#include "mover/environment.h"

namespace rollback::mover {

struct PsqlWords {
  std::string field, null, end;
};
// What psql printed for one statement, if it is complete. Pure.
struct PsqlAnswer {
  bool complete = false, failed = false;
  std::string sqlState, message;
  Rows rows;
  std::size_t consumed = 0;  // bytes of the buffer
};
PsqlAnswer readAnswer(const std::string& buffer, const PsqlWords& words);

// What a failed login's last words mean (English, as LC_ALL=C asks for).
Error connectError(const std::string& errors, const std::string& database, const std::string& user,
                   const std::string& host);

class PsqlDatabase final : public Database {
 public:
  PsqlDatabase(const PostgresTarget& target, Credentials credentials, std::string caFile, const Clock& clock,
               Random& random, const Stop& stop)
      : target_(target),
        credentials_(std::move(credentials)),
        caFile_(std::move(caFile)),
        clock_(clock),
        random_(random),
        stop_(stop) {}
  Result<std::unique_ptr<Session>> open(const std::string& database, Login login, SessionOptions options,
                                        Deadline deadline) override;
  std::string user(Login login) const override { return credentials_.user(login); }

 private:
  const PostgresTarget& target_;
  Credentials credentials_;
  std::string caFile_;
  const Clock& clock_;
  Random& random_;
  const Stop& stop_;
};

}  // namespace rollback::mover
