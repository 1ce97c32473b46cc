#include "kube/client/client.h"

#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>

#include "apply_body.h"
#include "json/splitter.h"
#include "kube/client/credentials.h"
#include "kube/client/errors.h"
#include "retry.h"
#include "warnings.h"
#include "watch_frame.h"

namespace rollback::kube {

namespace {

constexpr std::size_t kMaxErrorBody = 1u << 20;  // of a streamed answer that is not 2xx

const char* contentType(const Request& request) {
  if (request.verb != Verb::Patch) return "application/json";
  switch (request.patchType) {
    case PatchType::Json:
      return "application/json-patch+json";
    case PatchType::Merge:
      return "application/merge-patch+json";
    case PatchType::StrategicMerge:
      return "application/strategic-merge-patch+json";
    case PatchType::Apply:
      return "application/apply-patch+yaml";
  }
  return "application/json";
}

bool hasQuery(const Request& request, const char* key) {
  for (const auto& each : request.query) {
    if (each.first == key) return true;
  }
  return false;
}

void dropQuery(Request& request, const char* key) {
  for (auto each = request.query.begin(); each != request.query.end();) {
    each = each->first == key ? request.query.erase(each) : each + 1;
  }
}

Error about(const Request& request, Error error) {
  error.message = request.describe() + ": " + error.message;
  return error;
}

// Sleeps at most `time`; a cancellation ends it early.
void sleepUnlessCancelled(Millis time, const http::CancelToken& cancel) {
  struct Wakeup {
    std::mutex mutex;  // guards cancelled
    std::condition_variable changed;
    bool cancelled = false;
  };
  const auto wakeup = std::make_shared<Wakeup>();
  const auto registration = cancel.onCancel([wakeup] {
    const std::lock_guard<std::mutex> lock(wakeup->mutex);
    wakeup->cancelled = true;
    wakeup->changed.notify_all();
  });
  std::unique_lock<std::mutex> lock(wakeup->mutex);
  wakeup->changed.wait_for(lock, time, [&] { return wakeup->cancelled; });
}

// A generator behind a mutex; threads share the client.
std::function<double()> seededRandom() {
  struct Source {
    std::mutex mutex;  // guards engine
    std::minstd_rand engine{std::random_device{}()};
  };
  const auto source = std::make_shared<Source>();
  return [source] {
    const std::lock_guard<std::mutex> lock(source->mutex);
    return std::uniform_real_distribution<double>(0, 1)(source->engine);
  };
}

struct ListEnvelope {
  std::string kind;
  ListMeta meta;
};

Result<ListEnvelope> decodeEnvelope(const std::string& text) {
  const auto document = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto member = [](const nlohmann::json& object, const char* name) {
    const auto found = object.is_object() ? object.find(name) : object.end();
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  if (!document.is_object()) return Error{ErrorCode::Protocol, "the answer is no list"};
  const nlohmann::json meta = document.value("metadata", nlohmann::json::object());
  ListEnvelope envelope{member(document, "kind"), {member(meta, "resourceVersion"), member(meta, "continue")}};
  // A Table, or the object a wrong path led to, has "items" of another meaning or none at all.
  const std::string suffix = "List";
  if (envelope.kind.size() <= suffix.size() || envelope.kind.compare(envelope.kind.size() - 4, 4, suffix) != 0) {
    return Error{ErrorCode::Protocol,
                 "the answer is no list but a " + (envelope.kind.empty() ? "thing without kind" : envelope.kind)};
  }
  return envelope;
}

// The Status inside an ERROR event stands for the HTTP answer the server would have given before the stream began.
Error streamedError(std::string_view object) {
  const auto status = nlohmann::json::parse(object.begin(), object.end(), nullptr, /*allow_exceptions=*/false);
  const auto code = status.is_object() ? status.find("code") : status.end();
  const bool known = code != status.end() && code->is_number_integer();
  return statusError(known ? code->get<int>() : 500, object, {});
}

class ApiClient final : public Client {
 public:
  ApiClient(std::shared_ptr<Credentials> credentials, ClientOptions options, const Clock& clock)
      : credentials_(std::move(credentials)),
        options_(std::move(options)),
        clock_(clock),
        warnings_(options_.onWarning) {
    if (!options_.random) options_.random = seededRandom();
    if (!options_.pause) options_.pause = sleepUnlessCancelled;
  }

  Result<std::string> send(const Request& request, Deadline deadline, const http::CancelToken& cancel) override;
  Result<ListMeta> list(const Request& request, int pageSize, Deadline deadline, const http::CancelToken& cancel,
                        const std::function<Result<void>(std::string_view)>& onItem) override;
  Result<void> watch(const Request& request, Deadline deadline, Millis idle, const http::CancelToken& cancel,
                     const std::function<bool(const WatchEvent&)>& onEvent) override;

 private:
  // One attempt, ready to be sent.
  struct Call {
    const Request& request;
    std::shared_ptr<http::Transport> transport;
    http::Request http;
    MonoTime sent;
    Deadline until;
    bool delivered = false;  // the caller has seen part of the answer, so that it cannot be asked for again
  };
  using Exchange = std::function<Result<void>(Call& call)>;

  Result<void> attempt(const Request& request, Deadline deadline, int attempts, const http::CancelToken& cancel,
                       const Exchange& exchange);
  Result<Call> prepare(const Request& request, Deadline deadline);
  Result<void> stream(Call& call, Millis idle, const http::CancelToken& cancel,
                      const std::function<bool(std::string_view bytes)>& onBytes);
  void observe(const Call& call, int status) const;

  const std::shared_ptr<Credentials> credentials_;
  ClientOptions options_;
  const Clock& clock_;
  WarningFilter warnings_;
};

Result<ApiClient::Call> ApiClient::prepare(const Request& request, Deadline deadline) {
  if (const std::string fault = request.fault(); !fault.empty()) {
    return Error{ErrorCode::BadInput, "not sent, because " + fault};
  }
  const std::string impersonated = credentials_->impersonate();
  if (!impersonated.empty() && !request.asServiceAccount.empty()) {
    return Error{ErrorCode::BadInput,
                 "not sent, because the kubeconfig already impersonates " + impersonated +
                     " and the API knows no impersonation of a second degree; remove 'as' from its user"};
  }
  auto transport = credentials_->transport();
  if (!transport) return transport.error();
  auto authorization = credentials_->authorization();
  if (!authorization) return authorization.error();

  http::Request http{
      request.method(), "", {{"Accept", "application/json"}, {"User-Agent", options_.userAgent}}, request.body};
  if (request.verb == Verb::Patch && request.patchType == PatchType::Apply) http.body = yamlSafeJson(request.body);
  if (!authorization->empty()) http.headers.emplace_back("Authorization", *authorization);
  if (!request.body.empty()) http.headers.emplace_back("Content-Type", contentType(request));
  if (!request.asServiceAccount.empty()) {
    http.headers.emplace_back("Impersonate-User",
                              "system:serviceaccount:" + request.namespace_ + ":" + request.asServiceAccount);
  } else if (!impersonated.empty()) {
    http.headers.emplace_back("Impersonate-User", impersonated);
  }
  const bool managesFields = request.mutates() && request.verb != Verb::Delete;
  if (managesFields && !hasQuery(request, "fieldManager")) {
    Request named = request;
    named.query.emplace_back("fieldManager", options_.fieldManager);
    http.target = named.target();
  } else {
    http.target = request.target();
  }

  // Last, so that nothing slow lies between the leader's word and the request; its end is the request's deadline.
  if (request.mutates() && options_.writeGate) {
    const auto allowed = options_.writeGate();
    if (!allowed) return allowed.error();
    deadline = deadline.earlier(*allowed);
    if (allowed->expired(clock_)) return Error{ErrorCode::Fenced, "not sent, because leadership ran out before it was"};
  }
  return Call{request, std::move(*transport), std::move(http), clock_.now(), deadline};
}

Result<void> ApiClient::attempt(const Request& request, Deadline deadline, int attempts,
                                const http::CancelToken& cancel, const Exchange& exchange) {
  bool reauthenticated = false;
  for (int number = 1;; ++number) {
    if (cancel.cancelled()) return about(request, Error{ErrorCode::Cancelled, "cancelled before it was sent"});
    if (deadline.expired(clock_)) return about(request, Error{ErrorCode::Timeout, "no time was left to send it"});
    auto call = prepare(request, deadline);
    if (!call) return about(request, call.error());
    const Result<void> done = exchange(*call);
    if (done) return done;
    const Error& error = done.error();
    if (call->delivered) return about(request, error);
    if (error.httpStatus == 401 && !reauthenticated) {
      reauthenticated = true;
      --number;
      credentials_->rejected(call->sent);
      continue;
    }
    const auto pause = pauseBeforeRetry(request, error, number, options_.random());
    if (number >= attempts || !pause || *pause >= deadline.left(clock_)) return about(request, error);
    options_.pause(*pause, cancel);
  }
}

void ApiClient::observe(const Call& call, int status) const {
  if (options_.observer) options_.observer(call.request, status, clock_.now() - call.sent);
}

Result<std::string> ApiClient::send(const Request& request, Deadline deadline, const http::CancelToken& cancel) {
  std::string body;
  const auto done = attempt(request, deadline, options_.maxAttempts, cancel, [&](Call& call) -> Result<void> {
    call.until = call.until.earlier(Deadline::after(clock_, options_.requestTimeout));
    auto response = call.transport->send(call.http, call.until, cancel);
    observe(call, response ? response->status : 0);
    if (!response) return response.error();
    warnings_.see(response->headers);
    if (response->status / 100 != 2) return statusError(response->status, response->body, response->headers);
    body = std::move(response->body);
    return {};
  });
  if (!done) return done.error();
  return body;
}

// Streams the answer; one that is not 2xx is collected and returned as its error instead.
Result<void> ApiClient::stream(Call& call, Millis idle, const http::CancelToken& cancel,
                               const std::function<bool(std::string_view)>& onBytes) {
  http::Response head;
  std::string errorBody;
  const auto done = call.transport->stream(
      call.http, call.until, idle, cancel,
      [&](const http::Response& seen) {
        head = seen;
        warnings_.see(head.headers);
        return true;
      },
      [&](std::string_view bytes) {
        if (head.status / 100 == 2) return onBytes(bytes);
        errorBody.append(bytes.substr(0, kMaxErrorBody - errorBody.size()));
        return errorBody.size() < kMaxErrorBody;
      });
  observe(call, head.status);
  if (head.status != 0 && head.status / 100 != 2) return statusError(head.status, errorBody, head.headers);
  return done;
}

Result<ListMeta> ApiClient::list(const Request& request, int pageSize, Deadline deadline,
                                 const http::CancelToken& cancel,
                                 const std::function<Result<void>(std::string_view)>& onItem) {
  Request page = request;
  page.verb = Verb::List;
  if (pageSize > 0 && !hasQuery(page, "limit")) page.query.emplace_back("limit", std::to_string(pageSize));
  ListMeta list;
  while (true) {
    ListMeta meta;
    const auto done = attempt(page, deadline, options_.maxAttempts, cancel, [&](Call& call) -> Result<void> {
      std::optional<Error> fault;  // why our own callback ended the stream
      json::ItemSplitter split([&](std::string_view item) {
        call.delivered = true;
        return onItem(item);
      });
      const auto streamed = stream(call, options_.requestTimeout, cancel, [&](std::string_view bytes) {
        const auto fed = split.feed(bytes);
        if (!fed) fault = fed.error();
        return fed.ok();
      });
      if (fault) return *fault;
      if (!streamed) return streamed.error();
      if (const auto whole = split.finish(); !whole) return whole.error();
      const auto envelope = decodeEnvelope(split.envelope());
      if (!envelope) return envelope.error();
      meta = envelope->meta;
      return {};
    });
    if (!done) return done.error();
    if (list.resourceVersion.empty()) list.resourceVersion = meta.resourceVersion;
    if (meta.continueToken.empty()) return list;
    // A continue token names its own resourceVersion; the server refuses both together.
    for (const char* key : {"continue", "resourceVersion", "resourceVersionMatch"}) dropQuery(page, key);
    page.query.emplace_back("continue", meta.continueToken);
  }
}

Result<void> ApiClient::watch(const Request& request, Deadline deadline, Millis idle, const http::CancelToken& cancel,
                              const std::function<bool(const WatchEvent&)>& onEvent) {
  Request watched = request;
  watched.verb = Verb::Watch;
  return attempt(watched, deadline, /*attempts=*/1, cancel, [&](Call& call) -> Result<void> {
    std::optional<Error> fault;  // why we ended the stream
    json::LineSplitter split([&](std::string_view line) {
      if (line.find_first_not_of(" \t\r") == std::string_view::npos) return true;
      const auto frame = readWatchFrame(line);
      if (!frame) {
        fault = frame.error();
        return false;
      }
      WatchEvent event;
      event.object = frame->object;
      if (frame->type == "ADDED") {
        event.type = WatchEvent::Type::Added;
      } else if (frame->type == "MODIFIED") {
        event.type = WatchEvent::Type::Modified;
      } else if (frame->type == "DELETED") {
        event.type = WatchEvent::Type::Deleted;
      } else if (frame->type == "BOOKMARK") {
        event.type = WatchEvent::Type::Bookmark;
      } else if (frame->type == "ERROR") {
        fault = streamedError(frame->object);
        return false;
      } else {
        return true;  // a type of a later server: nothing this client knows can have changed by it
      }
      call.delivered = true;
      if (onEvent(event)) return true;
      fault = Error{ErrorCode::Cancelled, "ended by whoever reads the events"};
      return false;
    });
    const auto streamed = stream(call, idle, cancel, [&](std::string_view bytes) {
      const auto fed = split.feed(bytes);
      if (!fed) fault = fed.error();
      return fed.ok() && *fed;
    });
    if (fault) return *fault;
    return streamed;
  });
}

}  // namespace

std::shared_ptr<Client> makeClient(std::shared_ptr<Credentials> credentials, ClientOptions options,
                                   const Clock& clock) {
  return std::make_shared<ApiClient>(std::move(credentials), std::move(options), clock);
}

}  // namespace rollback::kube
