// A Lease (coordination.k8s.io/v1) as leader election reads and writes it. What it does not know of the object is kept.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace rollback::runtime {

struct LeaseRecord {
  std::string holder;  // empty: nobody
  int durationSeconds = 0;
  std::string acquireTime, renewTime;  // RFC 3339 with microseconds
  int transitions = 0;
};

struct Lease {
  std::string object;  // as the server sent it
  std::string spec;    // of it, to see whether anything in it changed
  LeaseRecord record;
};

// Protocol if it is no Lease.
Result<Lease> decodeLease(std::string_view json);
// `object` (empty: a new one of that name) with the record in its spec.
std::string encodeLease(const std::string& object, const std::string& namespace_, const std::string& name,
                        const LeaseRecord& record);

}  // namespace rollback::runtime
