// One thread runs everything: the acceptor, every connection, the handlers and the timers, so there are no locks
// beyond the one of stop(). A connection serves one request and is closed: probes and scrapes come seconds apart.
#include "http/server.h"

#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <exception>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

namespace rollback::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using tcp = asio::ip::tcp;
using Field = beast::http::field;
using Status = beast::http::status;
using Ask = beast::http::request<beast::http::string_body>;
using Answer = beast::http::response<beast::http::string_body>;

constexpr std::uint32_t mostHeader = 16 * 1024;  // bytes
constexpr std::chrono::seconds mostTime(10);     // from accept to the last byte of the answer
constexpr std::chrono::seconds mostLinger(2);    // for the peer to close after the answer
constexpr std::size_t mostConnections = 64;

Answer plain(Status status, const std::string& body) {
  Answer answer(status, 11);
  answer.set(Field::content_type, "text/plain; charset=utf-8");
  answer.body() = body;
  return answer;
}

Answer answerTo(const Ask& ask, const ServerHandler& handler) {
  if (ask.method() != beast::http::verb::get && ask.method() != beast::http::verb::head) {
    Answer answer = plain(Status::method_not_allowed, "only GET and HEAD\n");
    answer.set(Field::allow, "GET, HEAD");
    return answer;
  }
  const std::string target(ask.target());
  if (target.empty() || target[0] != '/') return plain(Status::bad_request, "the target is not a path\n");
  const auto question = target.find('?');
  ServerAnswer made;
  try {
    made = handler(target.substr(0, question), question == std::string::npos ? "" : target.substr(question + 1));
  } catch (const std::exception&) {  // what it says may be about a secret, and the peer is anybody
    return plain(Status::internal_server_error, "the handler failed\n");
  }
  Answer answer;
  answer.version(11);
  answer.result(static_cast<unsigned>(made.status));
  answer.set(Field::content_type, made.contentType);
  answer.body() = std::move(made.body);
  return answer;
}

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Gone = std::function<void()>;  // called once, when the socket is closed

  Connection(tcp::socket socket, const ServerHandler& handler, Gone gone)
      : stream_(std::move(socket)), handler_(handler), gone_(std::move(gone)) {
    parser_.header_limit(mostHeader);
    parser_.body_limit(0);
  }
  ~Connection() { gone_(); }

  void start() {
    stream_.expires_after(mostTime);
    beast::http::async_read(stream_, buffer_, parser_,
                            [self = shared_from_this()](beast::error_code error, std::size_t) { self->read(error); });
  }

  void close() { stream_.close(); }

 private:
  void read(beast::error_code error) {
    namespace reason = beast::http;
    if (!error) return write(answerTo(parser_.get(), handler_));
    if (error == reason::error::header_limit) {
      return write(plain(Status::request_header_fields_too_large, "the header is too large\n"));
    }
    if (error == reason::error::body_limit) return write(plain(Status::payload_too_large, "send no body\n"));
    if (error.category() == make_error_code(reason::error::bad_method).category() &&
        error != reason::error::end_of_stream && error != reason::error::partial_message) {
      return write(plain(Status::bad_request, "not an HTTP/1.1 request\n"));
    }
    // The peer has gone or was too slow: nobody to answer to. The last reference goes with the handler.
  }

  void write(Answer answer) {
    answer_ = std::move(answer);
    answer_.set(Field::connection, "close");
    answer_.prepare_payload();
    auto done = [self = shared_from_this()](beast::error_code error, std::size_t) { self->written(error); };
    if (parser_.is_header_done() && parser_.get().method() == beast::http::verb::head) {
      header_.emplace(answer_);
      beast::http::async_write_header(stream_, *header_, std::move(done));
    } else {
      beast::http::async_write(stream_, answer_, std::move(done));
    }
  }

  // Closing with unread bytes in the socket would send a reset that overtakes the answer, so what else the peer
  // sends is read away until it closes, for a while.
  void written(beast::error_code error) {
    if (error) return;
    stream_.socket().shutdown(tcp::socket::shutdown_send, error);
    stream_.expires_after(mostLinger);
    drain();
  }

  void drain() {
    stream_.async_read_some(asio::buffer(discarded_),
                            [self = shared_from_this()](beast::error_code error, std::size_t) {
                              if (!error && --self->drains_ > 0) self->drain();
                            });
  }

  beast::tcp_stream stream_;
  beast::flat_buffer buffer_{mostHeader + 4096};
  beast::http::request_parser<beast::http::string_body> parser_;
  Answer answer_;
  std::optional<beast::http::response_serializer<beast::http::string_body>> header_;  // of answer_, to a HEAD
  char discarded_[4096];
  int drains_ = 64;
  const ServerHandler& handler_;
  const Gone gone_;
};

class BeastServer : public Server {
 public:
  explicit BeastServer(ServerHandler handler) : handler_(std::move(handler)), acceptor_(context_) {}
  ~BeastServer() override { stop(); }

  Result<void> listen(const std::string& address, std::uint16_t port) {
    beast::error_code error;
    const auto bad = [&](ErrorCode code, const std::string& todo) {
      return Error{code, "listening on " + address + ":" + std::to_string(port) + ": " + error.message() + "; " + todo};
    };
    const auto ip = asio::ip::make_address(address, error);
    if (error) return bad(ErrorCode::BadInput, "write an IP address, 0.0.0.0 for all");
    const tcp::endpoint endpoint(ip, port);
    if (acceptor_.open(endpoint.protocol(), error); error) return bad(ErrorCode::Internal, "the system has no socket");
    acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (!error) port_ = acceptor_.local_endpoint(error).port();
    if (error) return bad(ErrorCode::Unavailable, "choose an address of this machine and a free port");
    accept();
    thread_ = std::thread([this] { context_.run(); });
    return {};
  }

  std::uint16_t port() const override { return port_; }

  void stop() override {
    const std::lock_guard<std::mutex> lock(stopping_);
    if (!thread_.joinable()) return;
    asio::post(context_, [this] {
      stopped_ = true;
      beast::error_code ignored;
      acceptor_.close(ignored);
      retry_.cancel();
      for (Connection* each : connections_) each->close();
    });
    thread_.join();  // every operation above ends with an error, then run() has nothing left to do
  }

 private:
  void accept() {
    if (stopped_ || accepting_ || connections_.size() >= mostConnections) return;  // more wait in the kernel's queue
    accepting_ = true;
    acceptor_.async_accept([this](beast::error_code error, tcp::socket socket) {
      accepting_ = false;
      if (stopped_) return;
      if (error) return acceptLater();
      admit(std::move(socket));
      accept();
    });
  }

  void admit(tcp::socket socket) {
    // Filled in when the connection exists; the connection tells us only at its end.
    const auto entry = std::make_shared<Connection*>(nullptr);
    const auto connection = std::make_shared<Connection>(std::move(socket), handler_, [this, entry] {
      connections_.erase(*entry);
      if (!stopped_) asio::post(context_, [this] { accept(); });
    });
    *entry = connection.get();
    connections_.insert(connection.get());
    connection->start();
  }

  // Out of file descriptors, most likely: trying again at once would only burn the processor.
  void acceptLater() {
    retry_.expires_after(std::chrono::milliseconds(100));
    retry_.async_wait([this](beast::error_code error) {
      if (!error) accept();
    });
  }

  const ServerHandler handler_;
  std::mutex stopping_;  // guards thread_; two stops may come at once
  std::thread thread_;
  std::uint16_t port_ = 0;
  // All below belongs to thread_ while it runs. connections_ comes before context_, because pending operations that
  // the context drops at its destruction still take their connections out of it.
  std::set<Connection*> connections_;
  bool accepting_ = false;
  bool stopped_ = false;
  asio::io_context context_{1};
  tcp::acceptor acceptor_;
  asio::steady_timer retry_{context_};
};

}  // namespace

Result<std::unique_ptr<Server>> startServer(const std::string& address, std::uint16_t port, ServerHandler handler) {
  try {
    auto server = std::make_unique<BeastServer>(std::move(handler));
    if (auto listening = server->listen(address, port); !listening) return listening.error();
    return std::unique_ptr<Server>(std::move(server));
  } catch (const std::exception& e) {
    return Error{ErrorCode::Internal, "listening on " + address + ":" + std::to_string(port) + ": " + e.what()};
  }
}

}  // namespace rollback::http
