// Reads the files beside an exported network, and prepares a pixel for it.
//
//     g++ -std=c++17 examples/read_artifact.cpp -o read_artifact
//     ./read_artifact canet.onnx.json 255 128 0
//
// prints the labels, one per line, and the network input for this pixel.
// It includes a small JSON parser; a larger program would use a library.

#include <cctype>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

struct Json {
  std::string text;  // a string; or a number, true, false or null as written
  std::vector<Json> list;
  std::map<std::string, Json> members;

  const Json& operator[](const std::string& name) const {
    auto found = members.find(name);
    if (found == members.end()) throw std::runtime_error("there is no " + name);
    return found->second;
  }
  double number() const { return std::stod(text); }
};

class Reader {
 public:
  explicit Reader(std::string text) : text_(std::move(text)) {}

  Json read() {
    Json value;
    switch (next()) {
      case '{':
        do {
          if (after() == '}') break;
          std::string name = read().text;
          expect(':');
          value.members[name] = read();
        } while (after() == ',' && ++at_);
        expect('}');
        return value;
      case '[':
        do {
          if (after() == ']') break;
          value.list.push_back(read());
        } while (after() == ',' && ++at_);
        expect(']');
        return value;
      case '"':
        for (char c = take(); c != '"'; c = take()) value.text += c == '\\' ? escaped() : c;
        return value;
      default:
        for (--at_; at_ < text_.size() && (std::isalnum(at(at_)) || at(at_) == '.' ||
                                           at(at_) == '-' || at(at_) == '+');)
          value.text += take();
        if (value.text.empty()) throw std::runtime_error("this is not JSON");
        return value;
    }
  }

 private:
  unsigned char at(size_t i) const { return text_[i]; }
  char take() {
    if (at_ >= text_.size()) throw std::runtime_error("the file ends too early");
    return text_[at_++];
  }
  char after() {  // the next character that is not a space
    while (at_ < text_.size() && std::isspace(at(at_))) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  char next() { return after(), take(); }
  void expect(char wanted) {
    if (next() != wanted) throw std::runtime_error(std::string("there is no ") + wanted);
  }
  char escaped() {
    const char c = take();
    if (c == 'n') return '\n';
    if (c == 't') return '\t';
    if (c != 'u') return c;
    const std::string digits = text_.substr(at_, 4);  // control characters only
    at_ += 4;
    return static_cast<char>(std::stoi(digits, nullptr, 16));
  }

  std::string text_;
  size_t at_ = 0;
};

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("there is no file " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

int main(int count, char** arguments) try {
  if (count < 2) throw std::runtime_error("give the path of a description");
  const std::string path = arguments[1];
  const Json model = Reader(read_file(path)).read();
  if (model["schema"].text != "1") throw std::runtime_error("this program reads schema 1");

  const size_t slash = path.find_last_of('/');
  const std::string folder = slash == std::string::npos ? "" : path.substr(0, slash + 1);
  std::cout << read_file(folder + model["labels"].text);

  const Json& preprocessing = model["preprocessing"];
  const bool inside = preprocessing["inside"].text == "true";
  const int channels = count - 2;
  const bool bgr = preprocessing["channel_order"].text == "BGR";
  for (int c = 0; c < channels; ++c) {
    const double pixel = std::atof(arguments[2 + (bgr && !inside ? channels - 1 - c : c)]);
    const double mean = inside ? 0 : preprocessing["mean"].list[c].number();
    const double std = inside ? 1 : preprocessing["std"].list[c].number();
    std::cout << (inside ? pixel : (pixel / 255 - mean) / std) << (c + 1 < channels ? " " : "\n");
  }
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
