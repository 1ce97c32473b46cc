#include "crew.h"

#include <algorithm>
#include <exception>

#include "runtime/logging.h"

namespace rollback::runtime {

Manager::Crew::~Crew() {
  for (const auto& each : members_) {
    each->stop.cancel();
    if (each->thread.joinable()) each->thread.join();
  }
}

void Manager::Crew::start(Stage stage, std::shared_ptr<Runnable> runnable) {
  auto made = std::make_unique<Member>();
  made->stage = stage;
  made->runnable = std::move(runnable);
  const std::lock_guard<std::mutex> hold(mutex_);
  members_.push_back(std::move(made));
  Member& member = *members_.back();
  member.thread = std::thread([this, &member] { work(member); });
}

void Manager::Crew::work(Member& member) {
  Result<void> result;
  try {
    result = member.runnable->run(member.stop);
  } catch (const std::exception& thrown) {
    result = Error{ErrorCode::Internal, member.runnable->name() + " threw: " + thrown.what() +
                                            ". This is a defect of the operator, please report it."};
  }
  const bool asked = member.stop.cancelled();
  if (!result) log(Level::Error, "ended with an error", {{"part", member.runnable->name()}, {"error", result.error()}});
  const std::lock_guard<std::mutex> hold(mutex_);
  member.ended = true;
  if (!asked && !failure_) {
    failure_ =
        result ? Error{ErrorCode::Internal, member.runnable->name() + " ended without being asked to"} : result.error();
  }
  changed_.notify_all();
}

void Manager::Crew::cancel(Stage stage) {
  std::vector<http::CancelToken> tokens;  // cancelled without the lock: what they wake may come back to us
  {
    const std::lock_guard<std::mutex> hold(mutex_);
    for (const auto& each : members_) {
      if (each->stage == stage) tokens.push_back(each->stop);
    }
  }
  for (const http::CancelToken& token : tokens) token.cancel();
}

bool Manager::Crew::ended(Stage stage, Deadline until) {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto all = [&] {
    return std::all_of(members_.begin(), members_.end(),
                       [&](const auto& each) { return each->stage != stage || each->ended; });
  };
  while (!all()) {
    if (until.expired(timing_.clock)) return false;
    timing_.waiter.wait(lock, changed_, until.at);
  }
  return true;
}

void Manager::Crew::notify() {
  const std::lock_guard<std::mutex> hold(mutex_);
  changed_.notify_all();
}

std::optional<Error> Manager::Crew::failure() const {
  const std::lock_guard<std::mutex> hold(mutex_);
  return failure_;
}

}  // namespace rollback::runtime
