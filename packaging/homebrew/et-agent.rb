# A formula for a tap. It installs what requirements.lock pins, each file verified by its hash, and
# builds llama.cpp from source:
#
#   make dist
#   brew tap-new local/et-agent
#   cp packaging/homebrew/et-agent.rb "$(brew --repository local/et-agent)/Formula/"
#   HOMEBREW_ET_AGENT_DIST="$PWD/dist" brew install local/et-agent/et-agent
#
# For a published version, `url` and `sha256` are those of its source distribution; `make dist` prints
# the hash. Homebrew's own repository wants a `resource` for each package in place of the lock.
# packaging/README.md says what was tried of it.
class EtAgent < Formula
  desc "Local model that knows when it does not know, on llama.cpp"
  url "file://#{ENV.fetch("HOMEBREW_ET_AGENT_DIST")}/et_agent-0.1.0.tar.gz"
  version "0.1.0"
  license all_of: ["Apache-2.0", "ISC", "MIT"]

  depends_on "uv" => :build
  depends_on "python@3.13"

  def install
    python = Formula["python@3.13"].opt_bin/"python3.13"
    system "uv", "venv", "--python", python, libexec
    system "uv", "pip", "install", "--python", libexec/"bin/python", "--verify-hashes",
           "--constraints", "requirements.lock", "--build-constraints", "requirements.lock",
           ".[cli,hub]"
    bin.install_symlink libexec/"bin/et-agent"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/et-agent --version")
    assert_match "smollm2-135m", shell_output("#{bin}/et-agent models list")
  end
end
