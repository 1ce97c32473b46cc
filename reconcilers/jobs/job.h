// Jobs that run rollback-mover in the user's own database image (docs/mover.md), built as JSON. Everything of ours
// about a Job's shape is decided here: argv only, no token, restricted pod security, limits on every container.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "api/backup.h"
#include "api/framework.h"
#include "common/settings.h"
#include "kube/objects/request.h"
#include "kube/objects/workloads.h"

namespace rollback::reconcilers {

// The object a Job works for: its owner, and what its labels say.
struct JobOwner {
  std::string kind, name, uid, namespace_, framework;
};

enum class Effect { Read, Write };

struct JobSpec {
  std::string name;
  JobOwner owner;
  std::string step, store;
  Effect effect = Effect::Read;
  std::string image;         // of the main container: the database image, or the target's for a no-op
  std::string verb = "run";  // run | noop
  std::string task;          // JSON; empty for noop
  bool waitsForGo = false;
  std::int64_t deadlineSeconds = 3600;
  int ttlSecondsAfterFinished = -1;  // -1: none, the finished Job is the tombstone that makes a late create harmless
  const api::PostgresStore* postgres = nullptr;       // credentials and CA to mount
  const api::BackupRepository* repository = nullptr;  // mounted at /repository
  bool repositoryWritable = false;
  std::vector<std::pair<std::string, std::string>>
      keys;  // FRB_KEY_<n> in this order: name → valueFrom JSON ("" unresolvable)
  const api::JobTemplate* jobTemplate = nullptr;
  std::vector<std::string> imagePullSecrets;  // defaults from the workload when the template names none
};

// POST of the Job, suspended, as the namespace's runner.
kube::Request createJob(const JobSpec& spec, const Settings& settings);
// Lets a suspended Job run: JSON patch that tests uid and resourceVersion, so only the Job that was seen is started.
kube::Request unsuspendJob(const kube::Job& job);
kube::Request deleteJob(const kube::Job& job);
// Gives the go token to a waiting pod.
kube::Request giveGo(const kube::Pod& pod, const std::string& token);

// "frb-<uid8>-<step>-<store>-<attempt>", lower case, at most 63 characters (the store is shortened, never the rest).
std::string jobName(const std::string& prefix, const std::string& uid, const std::string& step,
                    const std::string& store, int attempt);
// First 8 hexadecimal characters of a uid: the id in generated names.
std::string shortId(const std::string& uid);

}  // namespace rollback::reconcilers
