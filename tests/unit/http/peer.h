// Peer: a server of raw sockets on 127.0.0.1 that does what a test's script says, also what no HTTP server would do.
#pragma once

#include <openssl/ssl.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "certificates.h"

namespace rollback::http::testing {

struct Asked {
  std::string method;
  std::string target;
  std::map<std::string, std::string> headers;  // names lower-cased
  std::string body;
};

// One connection, used by the thread of its script.
class Conversation {
 public:
  Conversation(int fd, SSL* tls) : fd_(fd), tls_(tls) {}

  std::optional<Asked> read();                       // the next request; none when the client has closed
  bool readLine(std::string& line);                  // up to "\r\n"
  bool write(std::string_view bytes);                // false when the client has closed
  bool chunk(std::string_view bytes);                // as one piece of a chunked body
  void answer(int status, const std::string& body);  // with Content-Length
  void close();                                      // an orderly end
  void waitForClient();                              // until the client closes
  std::string clientName() const;                    // common name of the client's certificate

 private:
  bool fill();

  int fd_;
  SSL* tls_;
  std::string buffer_;
};

struct PeerTls {
  Identity identity;
  std::string clientAuthorityPem;  // a client certificate of it is demanded when set
};

class Peer {
 public:
  // Called for each connection on a thread of its own; `number` counts connections from 1.
  using Script = std::function<void(Conversation& with, int number)>;

  explicit Peer(Script script, std::optional<PeerTls> tls = {});
  ~Peer();  // ends every connection and joins every script

  std::string origin() const;
  std::uint16_t port() const { return port_; }
  int connections() const { return connections_; }
  // Connections whose script has returned and that are closed.
  void waitForClosed(int count);

 private:
  void accept();
  void serve(int fd, int number);

  const Script script_;
  const std::optional<PeerTls> tls_;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_{nullptr, SSL_CTX_free};
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<int> connections_{0};
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;  // guards the three below
  std::condition_variable changed_;
  std::map<int, int> open_;  // number → fd
  int closed_ = 0;
  std::vector<std::thread> scripts_;  // only the accepting thread, and after it the destructor
  std::thread accepting_;
};

// A thing that happened, to be waited for; at most 60 s, then the test fails.
class Signal {
 public:
  void set();
  bool wait();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool set_ = false;
};

}  // namespace rollback::http::testing
