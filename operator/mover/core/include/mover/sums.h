// SHA256SUMS: written last into a backup, so it says that the backup is whole; `sha256sum -c SHA256SUMS` checks it.
#pragma once

#include <map>
#include <string>

#include "base/result.h"

namespace rollback::mover {

using Sums = std::map<std::string, std::string>;  // path → hex

std::string encodeSums(const Sums& sums);
// BadInput with reason BackupDamaged (a malformed or repeated line, the last line cut) or HostilePath.
Result<Sums> decodeSums(const std::string& text);

}  // namespace rollback::mover
