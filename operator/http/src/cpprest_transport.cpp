// The one file that knows cpprestsdk (2.10), hence its length. What surprises in it:
// - It sends a request again by itself when a pooled connection ends before the answer, also a POST. Everything but
//   GET and HEAD therefore goes out with a body that cannot be rewound, if need be an empty one; then it gives up.
// - It takes pooled connections unchecked, so a request with a body fails on one that the server has closed. The hook
//   peeks before a byte is written, and what is stale is tried again: nothing was sent.
// - Its timeout is per step and per client. It is set out of the way; deadline and idle time are watched by the
//   caller, which waits in its own thread, and cancels. No task is ever waited for once the caller has decided.
// - An exception that nobody looks at, or one out of a stream buffer, ends the process: every task has a continuation
//   that catches, and the sink answers with failed tasks.
// - It waits in pool threads for tasks that need a pool thread when the sink refuses a piece; see Sink::close().
// - The number of bytes in a chunk is the server's word, also a negative one. A chunk is buffered whole before the sink
//   sees it, so the limits on size hold with one chunk's delay.
// - A body with Content-Length arrives in pieces of 64 KiB, however slowly the server sends them.
#define _TURN_OFF_PLATFORM_STRING  // its macro U breaks Boost and fmt
#include <cpprest/http_client.h>
#include <cpprest/producerconsumerstream.h>
#include <pplx/threadpool.h>
#include <sys/socket.h>

#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <cerrno>
#include <cstdlib>
#include <stdexcept>

#include "failure.h"
#include "http/transport.h"
#include "in_flight.h"
#include "request_rules.h"
#include "trust.h"

namespace rollback::http {
namespace {

namespace client = web::http::client;
using Byte = std::uint8_t;

constexpr std::size_t mostInOnePiece = 1u << 30;
constexpr std::size_t mostThatWaits = 1u << 17;  // bytes of a stream that the library reads ahead of the caller
constexpr auto neverOfItsOwn = std::chrono::hours(24 * 7);

struct StaleConnection : std::runtime_error {
  StaleConnection() : std::runtime_error("the pooled connection was closed by the server") {}
};

bool isInterim(const Response& head) { return head.status < 200; }

// One request under way: the library's pool threads report here, the caller waits here. Thread-safe. Outlives both,
// so that a task which ends after its caller has left finds something to report to.
class Exchange {
 public:
  enum class Event { Head, Piece, End, TooLarge, Cancelled, Deadline, Idle };

  Exchange() = default;                                               // the caller takes the answer piece by piece
  explicit Exchange(std::size_t mostOfWhole) : most_(mostOfWhole) {}  // it is kept here, the caller woken at its end

  // The library's side. It reads on while a piece waits, as long as what waits is small.
  pplx::task<std::size_t> offer(const Byte* bytes, std::size_t count) {
    try {
      if (count > mostInOnePiece) throw std::length_error("the answer has a piece of more than 1 GiB");
      const std::lock_guard<std::mutex> lock(mutex_);
      if (abandoned_) throw std::runtime_error("the caller has left");
      if (most_) refuseAbove(body_.size() + count);
      if (tooLarge_) throw std::length_error("the answer is too large");
      body_.append(reinterpret_cast<const char*>(bytes), count);
      const bool full = !most_ && body_.size() >= mostThatWaits;
      if (full || !endFollows_) changed_.notify_all();
      if (!full) return pplx::task_from_result(count);
      lastOffered_ = count;
      return pplx::create_task(taken_.emplace());
    } catch (...) {
      return pplx::task_from_exception<std::size_t>(std::current_exception());
    }
  }

  void arrive(Response head) {
    const std::lock_guard<std::mutex> lock(mutex_);
    head_ = std::move(head);
    headSeen_ = true;
    const std::string length(head_->header("content-length"));
    endFollows_ = most_ || (!length.empty() && head_->header("transfer-encoding").empty());
    if (most_) refuseAbove(std::strtoull(length.c_str(), nullptr, 10));
    if (!endFollows_ || isInterim(*head_)) changed_.notify_all();
  }

  void end(std::optional<LibraryFailure> failure) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (failure) failure->headSeen = headSeen_;
    failure_ = std::move(failure);
    ended_ = true;
    changed_.notify_all();
  }

  // Of CancelToken.
  void cancel() {
    const std::lock_guard<std::mutex> lock(mutex_);
    cancelled_ = true;
    changed_.notify_all();
  }

  // The caller's side. What has happened goes before what has not: an end before the deadline is an end.
  Event wait(const Clock& clock, Deadline deadline, Deadline idle) {
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      if (cancelled_) return Event::Cancelled;
      if (tooLarge_) return Event::TooLarge;
      if (ended_ && !headWaits() && !pieceWaits()) return Event::End;
      if (!ended_ && deadline.expired(clock)) return Event::Deadline;
      if (headWaits()) return Event::Head;
      if (pieceWaits() && headSeen_) return Event::Piece;  // the task with the head may be scheduled later
      if (idle.expired(clock)) return Event::Idle;
      waitSlice(changed_, lock, deadline.earlier(idle).left(clock));
    }
  }

  // Of an answer that is kept whole with its body, after Event::End; there is none if it failed.
  Response takeHead() {
    const std::lock_guard<std::mutex> lock(mutex_);
    Response head = std::move(*head_);
    head_.reset();
    if (most_) head.body = std::move(body_);
    return head;
  }

  // What Event::Piece told of.
  std::string takePiece() {
    std::unique_lock<std::mutex> lock(mutex_);
    std::string piece = std::exchange(body_, {});
    const auto taken = std::exchange(taken_, std::nullopt);
    lock.unlock();
    if (taken) taken->set(lastOffered_);
    return piece;
  }

  // After this nothing is kept or waited for any more.
  void abandon() {
    std::unique_lock<std::mutex> lock(mutex_);
    abandoned_ = true;
    std::string().swap(body_);
    const auto taken = std::exchange(taken_, std::nullopt);
    lock.unlock();
    if (taken) taken->set_exception(std::runtime_error("the caller has left"));
  }

  const std::optional<LibraryFailure>& failure() const { return failure_; }  // after Event::End

 private:
  bool headWaits() const { return head_ && (!most_ || isInterim(*head_)); }
  bool pieceWaits() const { return !most_ && !body_.empty(); }
  void refuseAbove(std::size_t size) {
    if (size <= *most_) return;
    tooLarge_ = true;
    changed_.notify_all();
  }

  const std::optional<std::size_t> most_;  // bytes of an answer that is kept whole
  std::mutex mutex_;                       // guards all below
  std::condition_variable changed_;
  std::optional<Response> head_;  // until the caller takes it
  bool headSeen_ = false;
  bool endFollows_ = false;  // soon: the caller need not be woken before
  std::string body_;         // until the caller takes it
  bool tooLarge_ = false;
  std::optional<pplx::task_completion_event<std::size_t>> taken_;  // set while the library waits for the caller
  std::size_t lastOffered_ = 0;                                    // bytes of the piece it waits with
  bool ended_ = false;
  std::optional<LibraryFailure> failure_;
  bool cancelled_ = false;
  bool abandoned_ = false;
};

// Where the library writes the body to. Write-only; everything else it might call says so.
class Sink : public Concurrency::streams::details::streambuf_state_manager<Byte> {
  using Base = Concurrency::streams::details::streambuf_state_manager<Byte>;
  using Int = typename Base::int_type;
  using Pos = typename Base::pos_type;
  using Off = typename Base::off_type;

 public:
  explicit Sink(std::shared_ptr<Exchange> exchange) : Base(std::ios_base::out), exchange_(std::move(exchange)) {}

  // The library waits for this in a pool thread when a piece was refused, and what it would do itself needs a second
  // pool thread to end. As many streams ended at once as there are threads, or one at the end of the process, and
  // nobody is left to do it.
  pplx::task<void> close(std::ios_base::openmode) override {
    Base::m_stream_can_write = false;
    return pplx::task_from_result();
  }
  pplx::task<void> close(std::ios_base::openmode mode, std::exception_ptr why) override {
    return Base::close(mode, why);  // keeps it, and calls the one above
  }

  bool can_seek() const override { return false; }
  bool has_size() const override { return false; }
  std::size_t buffer_size(std::ios_base::openmode) const override { return 0; }
  void set_buffer_size(std::size_t, std::ios_base::openmode) override {}
  std::size_t in_avail() const override { return 0; }
  Pos getpos(std::ios_base::openmode) const override { return nowhere(); }
  Pos seekpos(Pos, std::ios_base::openmode) override { return nowhere(); }
  Pos seekoff(Off, std::ios_base::seekdir, std::ios_base::openmode) override { return nowhere(); }
  bool acquire(Byte*&, std::size_t&) override { return false; }
  void release(Byte*, std::size_t) override {}

 protected:
  pplx::task<Int> _putc(Byte byte) override {
    return exchange_->offer(&byte, 1).then([byte](std::size_t) { return static_cast<Int>(byte); });
  }
  pplx::task<std::size_t> _putn(const Byte* bytes, std::size_t count) override {
    return exchange_->offer(bytes, count);
  }
  pplx::task<Int> _bumpc() override { return pplx::task_from_result(Base::traits::eof()); }
  Int _sbumpc() override { return Base::traits::eof(); }
  pplx::task<Int> _getc() override { return pplx::task_from_result(Base::traits::eof()); }
  Int _sgetc() override { return Base::traits::eof(); }
  pplx::task<Int> _nextc() override { return pplx::task_from_result(Base::traits::eof()); }
  pplx::task<Int> _ungetc() override { return pplx::task_from_result(Base::traits::eof()); }
  pplx::task<std::size_t> _getn(Byte*, std::size_t) override { return pplx::task_from_result(std::size_t{0}); }
  std::size_t _scopy(Byte*, std::size_t) override { return 0; }
  pplx::task<bool> _sync() override { return pplx::task_from_result(true); }
  Byte* _alloc(std::size_t) override { return nullptr; }
  void _commit(std::size_t) override {}

 private:
  static Pos nowhere() { return static_cast<Pos>(Base::traits::eof()); }

  std::shared_ptr<Exchange> exchange_;
};

// Called by the library for each request before a byte is written; what it throws ends the request and closes the
// connection. A new connection is not open yet.
void refuseStale(client::native_handle handle, bool secure) {
  using boost::asio::ip::tcp;
  tcp::socket& socket = secure ? static_cast<boost::asio::ssl::stream<tcp::socket&>*>(handle)->next_layer()
                               : *static_cast<tcp::socket*>(handle);
  if (!socket.is_open()) return;
  char byte = 0;
  const ssize_t got = ::recv(socket.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;  // open, and nothing unasked has come
  throw StaleConnection{};
}

LibraryFailure describe(std::exception_ptr thrown) {
  LibraryFailure failure;
  try {
    std::rethrow_exception(thrown);
  } catch (const StaleConnection& e) {
    failure.text = e.what();
    failure.stale = true;
  } catch (const web::http::http_exception& e) {
    failure.text = e.what();
    failure.number = e.error_code().value();
  } catch (const std::exception& e) {
    failure.text = e.what();
  } catch (...) {
    failure.text = "an exception of unknown type";
  }
  return failure;
}

// Runs what follows a task in the thread that completed it. What we do there is short and waits for nothing but a
// mutex; the library's own scheduler would wake another thread for it.
struct AtOnce final : pplx::scheduler_interface {
  void schedule(pplx::TaskProc_t run, void* argument) override { run(argument); }
};

pplx::task_options atOnce() {
  static const auto& scheduler = *new auto(std::make_shared<AtOnce>());  // pool threads may outlive all statics
  return pplx::task_options(scheduler);
}

web::http::http_request translate(const Request& request, const std::string& hostHeader,
                                  const std::shared_ptr<Exchange>& exchange) {
  web::http::http_request out(request.method);
  out.set_request_uri(web::uri(request.target));
  if (!request.body.empty() || (request.method != "GET" && request.method != "HEAD")) {
    Concurrency::streams::producer_consumer_buffer<Byte> body;
    if (!request.body.empty()) {
      body.putn_nocopy(reinterpret_cast<const Byte*>(request.body.data()), request.body.size()).get();
    }
    body.close(std::ios_base::out).get();
    out.set_body(body.create_istream(), request.body.size(), std::string());
    out.headers().remove("Content-Type");
  }
  for (const auto& [name, value] : request.headers) out.headers().add(name, value);
  if (!hostHeader.empty()) out.headers()["Host"] = hostHeader;
  out.set_response_stream(Concurrency::streams::streambuf<Byte>(std::make_shared<Sink>(exchange)).create_ostream());
  return out;
}

Response headOf(const web::http::http_response& response) {
  Response head;
  head.status = response.status_code();
  for (const auto& [name, value] : response.headers()) head.headers.emplace_back(lowerCase(name), value);
  return head;
}

class CpprestTransport : public Transport {
 public:
  CpprestTransport(const TransportConfig& config, const Clock& clock, const client::http_client_config& library)
      : config_(config),
        clock_(clock),
        client_(web::uri(config.origin), library),
        inFlight_(std::make_shared<InFlight>(config.maxInFlight)) {}

  Result<Response> send(const Request& request, Deadline deadline, const CancelToken& cancel) override {
    const auto place = inFlight_->enter(deadline, clock_, cancel);
    const std::string what = nameOf(request, config_.origin);
    if (!place) {
      if (cancel.cancelled()) return cancelledError(what);
      return Error{ErrorCode::Timeout, what + ": no place among " + std::to_string(config_.maxInFlight) +
                                           " requests at once became free in time; nothing was sent"};
    }
    Response answer;
    Receiver receiver;
    receiver.whole = &answer;
    receiver.most = request.method == "HEAD" ? SIZE_MAX : config_.maxBody;  // HEAD's length is of what is not sent
    if (auto done = perform(request, deadline, Millis::max(), cancel, receiver); !done) return done.error();
    return answer;
  }

  Result<void> stream(const Request& request, Deadline deadline, Millis idle, const CancelToken& cancel,
                      const std::function<bool(const Response&)>& onHead,
                      const std::function<bool(std::string_view)>& onBytes) override {
    Receiver receiver;
    receiver.onHead = onHead;
    receiver.onBytes = onBytes;
    return perform(request, deadline, idle, cancel, receiver);
  }

 private:
  // How the caller has the answer: piece by piece, or whole at its end.
  struct Receiver {
    std::function<bool(const Response&)> onHead;
    std::function<bool(std::string_view)> onBytes;
    Response* whole = nullptr;
    std::size_t most = 0;  // bytes of it
  };

  static Error cancelledError(const std::string& what) { return {ErrorCode::Cancelled, what + ": cancelled"}; }

  Result<void> perform(const Request& request, Deadline deadline, Millis idle, const CancelToken& cancel,
                       const Receiver& receiver) {
    if (auto valid = checkRequest(request); !valid) return valid;
    // Each stale connection that is met leaves the pool, which holds as many as were in use at once; twice that
    // because others put theirs back meanwhile.
    const int mostStale = 2 * config_.maxInFlight + 64;
    bool stale = true;
    Result<void> result;
    for (int attempt = 0; stale && attempt < mostStale; ++attempt) {
      result = attemptOnce(request, deadline, idle, cancel, receiver, stale);
    }
    return result;
  }

  // `stale`: nothing was sent and neither callback called, the same may be attempted again.
  Result<void> attemptOnce(const Request& request, Deadline deadline, Millis idle, const CancelToken& cancel,
                           const Receiver& receiver, bool& stale) {
    stale = false;
    const std::string what = nameOf(request, config_.origin);
    if (cancel.cancelled()) return cancelledError(what);
    if (deadline.expired(clock_)) {
      return Error{ErrorCode::Timeout, what + ": the time was over before it began; nothing was sent"};
    }
    const auto exchange = receiver.whole ? std::make_shared<Exchange>(receiver.most) : std::make_shared<Exchange>();
    pplx::cancellation_token_source stop;
    // Leaving by whatever way, also by an exception of a callback: the library stops and keeps nothing of the caller.
    struct Leave {
      const std::shared_ptr<Exchange>& exchange;
      pplx::cancellation_token_source& stop;
      bool ended = false;
      ~Leave() {
        exchange->abandon();
        if (!ended) stop.cancel();
      }
    } leave{exchange, stop};
    const auto registration = cancel.onCancel([exchange] { exchange->cancel(); });
    if (auto begun = begin(request, exchange, stop.get_token(), what); !begun) return begun;
    const auto idleFromNow = [&] { return idle == Millis::max() ? Deadline{} : Deadline::after(clock_, idle); };
    Deadline quiet = idleFromNow();
    while (true) {
      switch (exchange->wait(clock_, deadline, quiet)) {
        case Exchange::Event::Head: {
          const Response head = exchange->takeHead();
          if (isInterim(head)) {
            return Error{ErrorCode::Protocol, what + ": the answer has the interim status " +
                                                  std::to_string(head.status) + ", which was not asked for"};
          }
          if (!receiver.onHead(head)) return Error{ErrorCode::Cancelled, what + ": ended by the receiver"};
          break;
        }
        case Exchange::Event::Piece:
          if (!receiver.onBytes(exchange->takePiece()))
            return Error{ErrorCode::Cancelled, what + ": ended by the receiver"};
          break;
        case Exchange::Event::End:
          leave.ended = true;
          if (exchange->failure()) {
            stale = exchange->failure()->stale;
            return toError(*exchange->failure(), what);
          }
          if (receiver.whole) *receiver.whole = exchange->takeHead();
          return {};
        case Exchange::Event::TooLarge:
          return Error{ErrorCode::Protocol, what + ": the answer is larger than the " + std::to_string(receiver.most) +
                                                " bytes allowed; ask for less at once"};
        case Exchange::Event::Cancelled:
          return cancelledError(what);
        case Exchange::Event::Deadline:
          return Error{ErrorCode::Timeout, what + ": no whole answer in time; the server may have acted on it"};
        case Exchange::Event::Idle:
          return Error{ErrorCode::Timeout, what + ": silence for " + std::to_string(idle.count()) + " ms"};
      }
      quiet = idleFromNow();
    }
  }

  Result<void> begin(const Request& request, const std::shared_ptr<Exchange>& exchange,
                     const pplx::cancellation_token& token, const std::string& what) {
    try {
      client_.request(translate(request, config_.tls.serverName, exchange), token)
          .then(
              [exchange](pplx::task<web::http::http_response> asked) {
                try {
                  const web::http::http_response response = asked.get();
                  exchange->arrive(headOf(response));
                  response.content_ready().then(
                      [exchange](pplx::task<web::http::http_response> done) {
                        try {
                          done.get();
                          exchange->end(std::nullopt);
                        } catch (...) {
                          exchange->end(describe(std::current_exception()));
                        }
                      },
                      atOnce());
                } catch (...) {
                  exchange->end(describe(std::current_exception()));
                }
              },
              atOnce());
      return {};
    } catch (const web::uri_exception& e) {
      return Error{ErrorCode::BadInput, what + ": the target is no encoded path and query: " + e.what()};
    } catch (const std::exception& e) {
      return Error{ErrorCode::Internal, what + ": the HTTP library refused the request: " + e.what()};
    }
  }

  const TransportConfig config_;
  const Clock& clock_;
  client::http_client client_;
  const std::shared_ptr<InFlight> inFlight_;
};

}  // namespace

void initializeTransport(int threads) {
  systemTrust();  // remembers where it was
  setenv("SSL_CERT_FILE", "/dev/null", 1);
  setenv("SSL_CERT_DIR", "/dev/null", 1);
  crossplat::threadpool::initialize_with_threads(static_cast<std::size_t>(threads));
}

std::vector<std::pair<std::string, std::optional<std::string>>> trustEnvironment() {
  return {{"SSL_CERT_FILE", systemTrust().fileVariable}, {"SSL_CERT_DIR", systemTrust().directoryVariable}};
}

Result<std::shared_ptr<Transport>> makeTransport(const TransportConfig& config, const Clock& clock) {
  const auto bad = [&](const std::string& what) {
    return Error{ErrorCode::BadInput, "connecting to \"" + config.origin + "\": " + what};
  };
  try {
    const web::uri origin(config.origin);
    const bool secure = origin.scheme() == "https";
    if (!secure && origin.scheme() != "http") return bad("its scheme is neither http nor https");
    if (origin.host().empty()) return bad("it has no host");
    if (origin.host()[0] == '[') return bad("the HTTP library cannot reach an IPv6 literal; use a name for it");
    if ((!origin.path().empty() && origin.path() != "/") || !origin.query().empty() || !origin.user_info().empty()) {
      return bad("it is more than scheme, host and port");
    }
    if (holdsControlCharacter(config.tls.serverName)) return bad("the server name holds a control character");
    if (config.maxInFlight < 1) return bad("it allows no request at all at once");
    const std::string& host = config.tls.serverName.empty() ? origin.host() : config.tls.serverName;

    client::http_client_config library;
    library.set_max_redirects(0);  // following one would carry the bearer token to another origin
    library.set_timeout(neverOfItsOwn);
    library.set_validate_certificates(!config.tls.insecureSkipVerify);
    library.set_nativehandle_options([secure](client::native_handle handle) { refuseStale(handle, secure); });
    if (secure) {
      auto trust = Trust::make(config.tls, host);
      if (!trust) return bad(trust.error().message);
      library.set_ssl_context_callback([trust = *trust](boost::asio::ssl::context& context) {
        if (!trust->apply(context.native_handle())) throw std::runtime_error("preparing TLS: OpenSSL refused it");
      });
    }
    return std::shared_ptr<Transport>(std::make_shared<CpprestTransport>(config, clock, library));
  } catch (const std::exception& e) {
    return bad(e.what());
  }
}

}  // namespace rollback::http
