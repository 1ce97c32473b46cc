#include "peer.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <sstream>
#include <stdexcept>

namespace rollback::http::testing {

bool Conversation::fill() {
  char bytes[16384];
  const ssize_t got = tls_ != nullptr ? SSL_read(tls_, bytes, sizeof bytes) : ::recv(fd_, bytes, sizeof bytes, 0);
  if (got <= 0) return false;
  buffer_.append(bytes, static_cast<std::size_t>(got));
  return true;
}

bool Conversation::readLine(std::string& line) {
  std::size_t end = 0;
  while ((end = buffer_.find("\r\n")) == std::string::npos) {
    if (!fill()) return false;
  }
  line = buffer_.substr(0, end);
  buffer_.erase(0, end + 2);
  return true;
}

std::optional<Asked> Conversation::read() {
  Asked asked;
  std::string line;
  if (!readLine(line)) return std::nullopt;
  std::istringstream first(line);
  first >> asked.method >> asked.target;
  while (readLine(line) && !line.empty()) {
    const auto colon = line.find(':');
    std::string name = line.substr(0, colon);
    for (char& each : name) each = static_cast<char>(std::tolower(static_cast<unsigned char>(each)));
    const auto value = line.find_first_not_of(' ', colon + 1);
    asked.headers[name] = value == std::string::npos ? "" : line.substr(value);
  }
  const std::size_t length = asked.headers.count("content-length") ? std::stoul(asked.headers["content-length"]) : 0;
  while (buffer_.size() < length) {
    if (!fill()) return std::nullopt;
  }
  asked.body = buffer_.substr(0, length);
  buffer_.erase(0, length);
  return asked;
}

bool Conversation::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = tls_ != nullptr ? SSL_write(tls_, bytes.data(), static_cast<int>(bytes.size()))
                                         : ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool Conversation::chunk(std::string_view bytes) {
  char size[32];
  std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
  return write(size + std::string(bytes) + "\r\n");
}

void Conversation::answer(int status, const std::string& body) {
  write("HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
        body);
}

void Conversation::close() {
  if (tls_ != nullptr) SSL_shutdown(tls_);
  ::shutdown(fd_, SHUT_RDWR);
}

void Conversation::waitForClient() {
  while (fill()) buffer_.clear();
}

std::string Conversation::clientName() const {
  X509* certificate = SSL_get1_peer_certificate(tls_);
  if (certificate == nullptr) return "";
  char name[256] = "";
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
  X509_free(certificate);
  return name;
}

Peer::Peer(Script script, std::optional<PeerTls> tls) : script_(std::move(script)), tls_(std::move(tls)) {
  std::signal(SIGPIPE, SIG_IGN);  // SSL_write knows no MSG_NOSIGNAL
  if (tls_) {
    context_.reset(SSL_CTX_new(TLS_server_method()));
    const auto read = [](const std::string& pem) { return BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())); };
    BIO* certificateText = read(tls_->identity.certificatePem);
    BIO* keyText = read(tls_->identity.keyPem);
    X509* certificate = PEM_read_bio_X509(certificateText, nullptr, nullptr, nullptr);
    EVP_PKEY* key = PEM_read_bio_PrivateKey(keyText, nullptr, nullptr, nullptr);
    if (SSL_CTX_use_certificate(context_.get(), certificate) != 1 || SSL_CTX_use_PrivateKey(context_.get(), key) != 1) {
      throw std::runtime_error("the peer's certificate does not load");
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
    BIO_free(certificateText);
    BIO_free(keyText);
    if (!tls_->clientAuthorityPem.empty()) {
      BIO* text = read(tls_->clientAuthorityPem);
      X509* authority = PEM_read_bio_X509(text, nullptr, nullptr, nullptr);
      X509_STORE_add_cert(SSL_CTX_get_cert_store(context_.get()), authority);
      X509_free(authority);
      BIO_free(text);
      SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    }
  }
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener_, 64) != 0 ||
      ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("the peer cannot listen on 127.0.0.1");
  }
  port_ = ntohs(address.sin_port);
  accepting_ = std::thread([this] { accept(); });
}

Peer::~Peer() {
  stopping_ = true;
  ::shutdown(listener_, SHUT_RDWR);
  accepting_.join();
  ::close(listener_);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [number, fd] : open_) ::shutdown(fd, SHUT_RDWR);
  }
  for (std::thread& each : scripts_) each.join();
}

std::string Peer::origin() const { return (tls_ ? "https" : "http") + ("://127.0.0.1:" + std::to_string(port_)); }

void Peer::waitForClosed(int count) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (!changed_.wait_for(lock, std::chrono::seconds(60), [&] { return closed_ >= count; })) {
    throw std::runtime_error("the peer still has connections open after 60 s");
  }
}

void Peer::accept() {
  while (!stopping_) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    const int number = ++connections_;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      open_[number] = fd;
    }
    scripts_.emplace_back([this, fd, number] { serve(fd, number); });
  }
}

void Peer::serve(int fd, int number) {
  SSL* tls = nullptr;
  bool ready = true;
  if (context_) {
    tls = SSL_new(context_.get());
    SSL_set_fd(tls, fd);
    ready = SSL_accept(tls) == 1;
  }
  if (ready) {
    Conversation with(fd, tls);
    script_(with, number);
    with.close();
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (tls != nullptr) SSL_free(tls);
  open_.erase(number);
  ::close(fd);
  ++closed_;
  changed_.notify_all();
}

void Signal::set() {
  const std::lock_guard<std::mutex> lock(mutex_);
  set_ = true;
  changed_.notify_all();
}

bool Signal::wait() {
  std::unique_lock<std::mutex> lock(mutex_);
  return changed_.wait_for(lock, std::chrono::seconds(60), [this] { return set_; });
}

}  // namespace rollback::http::testing
