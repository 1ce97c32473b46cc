#include <functional>
#include <memory>
#include <stop_token>
#include <utility>

#include "http/transport.h"

namespace rollback::http {

// std::stop_source has the wanted meaning already, also the hard part of it: destroying a registration waits for a
// callback that is running on another thread, and does not when it is destroyed from within that callback.
struct CancelToken::State {
  std::stop_source source;
};

CancelToken::CancelToken() : state_(std::make_shared<State>()) {}

void CancelToken::cancel() const { state_->source.request_stop(); }

bool CancelToken::cancelled() const { return state_->source.stop_requested(); }

std::shared_ptr<void> CancelToken::onCancel(std::function<void()> then) const {
  return std::make_shared<std::stop_callback<std::function<void()>>>(state_->source.get_token(), std::move(then));
}

}  // namespace rollback::http
