// A clock that moves when told, a transport that answers from a script, and a client between them.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "http/transport.h"
#include "kube/client/client.h"
#include "kube/client/credentials.h"

namespace rollback::kube::fakes {

class FakeClock final : public Clock {
 public:
  WallTime wall() const override { return WallTime(wall_); }
  MonoTime now() const override { return MonoTime(mono_); }
  void advance(Millis time) {
    wall_ += time;
    mono_ += time;
  }

 private:
  Millis wall_{1795489200000};  // 2026-11-24T03:00:00Z
  Millis mono_{1000000};
};

// One answer: a response, delivered in the given pieces when streamed, then `end`.
struct Answer {
  int status = 200;
  http::Headers headers;
  std::vector<std::string> pieces;
  Result<void> end;  // of a stream; of send() if `status` is 0
  Millis takes{0};
  std::function<void()> also;  // runs while the request is under way
};

inline Answer answer(int status, std::string body, http::Headers headers = {}) {
  return Answer{status, std::move(headers), {std::move(body)}, {}, Millis(0), {}};
}
inline Answer failure(ErrorCode code) { return Answer{0, {}, {}, Error{code, "the transport failed"}, Millis(0), {}}; }
inline Answer status(int code, const std::string& reason, http::Headers headers = {}) {
  return answer(code,
                R"({"kind":"Status","apiVersion":"v1","status":"Failure","code":)" + std::to_string(code) +
                    R"(,"reason":")" + reason + R"(","message":"because"})",
                std::move(headers));
}

// Answers in order; keeps what it was asked. A request beyond the script is an Internal error.
class ScriptedTransport final : public http::Transport {
 public:
  explicit ScriptedTransport(FakeClock& clock) : clock_(clock) {}

  Result<http::Response> send(const http::Request& request, Deadline deadline, const http::CancelToken&) override {
    const Answer next = take(request, deadline);
    if (next.status == 0) return next.end.error();
    http::Response response{next.status, next.headers, ""};
    for (const std::string& piece : next.pieces) response.body += piece;
    return response;
  }

  Result<void> stream(const http::Request& request, Deadline deadline, Millis idle, const http::CancelToken&,
                      const std::function<bool(const http::Response&)>& onHead,
                      const std::function<bool(std::string_view)>& onBytes) override {
    idles.push_back(idle);
    const Answer next = take(request, deadline);
    if (next.status == 0) return next.end;
    const Error stopped{ErrorCode::Cancelled, "the reader stopped"};
    if (!onHead(http::Response{next.status, next.headers, ""})) return stopped;
    for (const std::string& piece : next.pieces) {
      if (!onBytes(piece)) return stopped;
    }
    return next.end;
  }

  std::deque<Answer> script;
  std::vector<http::Request> requests;
  std::vector<Deadline> deadlines;
  std::vector<Millis> idles;

 private:
  Answer take(const http::Request& request, Deadline deadline) {
    requests.push_back(request);
    deadlines.push_back(deadline);
    if (script.empty()) return failure(ErrorCode::Internal);
    Answer next = script.front();
    script.pop_front();
    clock_.advance(next.takes);
    if (next.also) next.also();
    return next;
  }
  FakeClock& clock_;
};

class FakeCredentials final : public Credentials {
 public:
  Result<std::shared_ptr<http::Transport>> transport() override {
    if (transportError) return *transportError;
    return transport_;
  }
  Result<std::string> authorization() override {
    ++asked;
    return "Bearer token-" + std::to_string(rejections.size());
  }
  void rejected(MonoTime sent) override { rejections.push_back(sent); }
  std::string defaultNamespace() const override { return "default"; }
  std::string impersonate() const override { return as; }

  std::shared_ptr<http::Transport> transport_;
  std::optional<Error> transportError;
  std::vector<MonoTime> rejections;
  std::string as;
  int asked = 0;
};

// A client whose pauses move the clock and are written down.
struct Bench {
  FakeClock clock;
  std::shared_ptr<ScriptedTransport> transport = std::make_shared<ScriptedTransport>(clock);
  std::shared_ptr<FakeCredentials> credentials = std::make_shared<FakeCredentials>();
  std::vector<Millis> pauses;
  double random = 0;
  ClientOptions options;
  http::CancelToken cancel;

  Bench() { credentials->transport_ = transport; }

  std::shared_ptr<Client> client() {
    options.random = [this] { return random; };
    options.pause = [this](Millis time, const http::CancelToken&) {
      pauses.push_back(time);
      clock.advance(time);
    };
    return makeClient(credentials, options, clock);
  }
  Deadline in(Millis time) { return Deadline::after(clock, time); }
  Result<std::string> send(const Request& request, Millis time = Millis(600000)) {
    return client()->send(request, in(time), cancel);
  }
};

inline std::string headerOf(const http::Request& request, const std::string& name) {
  for (const auto& each : request.headers) {
    if (each.first == name) return each.second;
  }
  return "";
}

}  // namespace rollback::kube::fakes
