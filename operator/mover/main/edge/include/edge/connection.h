// How libpq programs reach the database: by environment only, never by connection strings.
#pragma once

#include <map>
#include <string>

#include "mover/database.h"
#include "mover/task.h"

namespace rollback::mover {

struct Credentials {
  std::string appUser, appPassword, adminUser, adminPassword;
  const std::string& user(Login login) const {
    return login == Login::Admin && !adminUser.empty() ? adminUser : appUser;
  }
  const std::string& password(Login login) const {
    return login == Login::Admin && !adminUser.empty() ? adminPassword : appPassword;
  }
};

std::map<std::string, std::string> libpqEnvironment(const PostgresTarget& target, const Credentials& credentials,
                                                    const std::string& caFile, const std::string& database,
                                                    Login login);

}  // namespace rollback::mover
