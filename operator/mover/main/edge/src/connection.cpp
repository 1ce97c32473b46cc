#include "edge/connection.h"

namespace rollback::mover {

std::map<std::string, std::string> libpqEnvironment(const PostgresTarget& target, const Credentials& credentials,
                                                    const std::string& caFile, const std::string& database,
                                                    Login login) {
  std::map<std::string, std::string> out = {{"PGHOST", target.sessionHost()},
                                            {"PGPORT", std::to_string(target.port)},
                                            {"PGDATABASE", database},
                                            {"PGUSER", credentials.user(login)},
                                            {"PGPASSWORD", credentials.password(login)},
                                            {"PGSSLMODE", target.sslMode},
                                            {"PGAPPNAME", "rollback-mover"},
                                            {"PGCLIENTENCODING", "UTF8"},
                                            {"PGCONNECT_TIMEOUT", "10"},
                                            {"PGPASSFILE", "/dev/null"},
                                            {"PGSERVICEFILE", "/dev/null"},
                                            {"PGSYSCONFDIR", "/nonexistent"}};
  if (target.sslMode.compare(0, 6, "verify") == 0) out["PGSSLROOTCERT"] = caFile;
  return out;
}

}  // namespace rollback::mover
