#include "checker.h"

#include "api/resources.h"

namespace rollback::rules {

Checker::Checker(Options options, const Observer* observer) : options_(std::move(options)), observer_(observer) {}

bool Checker::byRunner(const Record& record) const {
  const std::string suffix = std::string(":") + api::kRunner;
  return byOperator(record) && record.impersonated.size() > suffix.size() &&
         record.impersonated.compare(record.impersonated.size() - suffix.size(), suffix.size(), suffix) == 0;
}

void Checker::see(const Record& record) {
  if (!record.accepted()) return;
  ++seen_;
  for (const auto& rule : rules()) rule.judge(*this, record);
  state_.apply(record);
  for (auto it = unfinished_.begin(); it != unfinished_.end();) {
    const auto job = state_.jobs.find(it->job);
    const bool over = job == state_.jobs.end() || job->second.uid != it->uid || job->second.ended || job->second.gone;
    if (!over && record.at - it->since > options_.jobStatusLag) {
      report("S10", "Job " + it->job + " of rollback " + it->rollback + " was still at work when that had ended");
      it = unfinished_.erase(it);
    } else {
      it = over ? unfinished_.erase(it) : std::next(it);
    }
  }
}

void Checker::finish() {
  for (const auto& job : unfinished_)
    report("S10", "Job " + job.job + " of rollback " + job.rollback + " had not ended when that had, nor after it");
  unfinished_.clear();
}

}  // namespace rollback::rules
