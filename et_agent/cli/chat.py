"""`et-agent chat`: a conversation, with a confidence for every reply."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer

from et_agent.cli.asking_options import DecoderName, Kind, KindName, Seed, System
from et_agent.cli.decoders import DecoderCommand, chosen_decoder
from et_agent.cli.guard import INTERRUPTED, be_verbose, command, fail, is_verbose
from et_agent.cli.help import HelpAll
from et_agent.cli.run_options import (
    ContextSize,
    CpuThreads,
    Dequantize,
    Fast,
    GpuLayers,
    MainGpu,
    ModelSpec,
    SplitMode,
    Verbose,
    Width,
)
from et_agent.cli.thinking import (
    MaxThinkingTokens,
    TemplateOptions,
    Thinking,
    ThinkingName,
    thinking_keywords,
)

if TYPE_CHECKING:
    from et_agent.cli.chatting import Conversing
    from et_agent.engines.sampled import AnyModel
    from et_agent.results import AskResult

__all__ = ["ChatCommand", "chat"]

_OUTPUT: Final = "Output"
_HISTORY: Final = "History"
_LATEST: Final = "latest"
_SHORTER: Final = ". Earlier turns are part of it: /new begins another conversation"
_HELP: Final = (
    ("/explain", "what moved the confidence of the last reply"),
    ("/tree", "its tree of paths"),
    ("/right, /wrong", "label it: your next confidences learn from that"),
    ("/model NAME", "go on with another model"),
    ("/undo", "take the last turn back"),
    ("/new", "begin another conversation"),
    ("/quit", "leave, as Ctrl-D does; Ctrl-C stops a reply"),
)


class ChatCommand(DecoderCommand):
    """`chat`: of its options few matter at first."""

    shown = frozenset(
        {"model", "system", "kind", "leaves", "resume", "list_chats", "no_save", "as_json"}
    )


@command
def chat(
    call: typer.Context,
    system: System = None,
    kind: Kind = KindName.AUTO,
    thinking: Thinking = ThinkingName.AUTO,
    max_thinking_tokens: MaxThinkingTokens = None,
    template_options: TemplateOptions = None,
    model: ModelSpec = None,
    fast: Fast = False,
    threads: CpuThreads = None,
    context: ContextSize = None,
    width: Width = None,
    dequantize: Dequantize = False,
    gpu_layers: GpuLayers = None,
    split_mode: SplitMode = None,
    main_gpu: MainGpu = None,
    decoder: DecoderName = None,
    seed: Seed = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Go on with a conversation: its name, a beginning of it, or `latest`.",
            show_default=False,
            rich_help_panel=_HISTORY,
        ),
    ] = None,
    list_chats: Annotated[
        bool,
        typer.Option("--list", help="List the conversations.", rich_help_panel=_HISTORY),
    ] = False,
    no_save: Annotated[
        bool,
        typer.Option("--no-save", help="Keep nothing of this one.", rich_help_panel=_HISTORY),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print each reply as one line of JSON. For input that is piped, one line per turn.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    verbose: Verbose = False,
    help_all: HelpAll = False,
) -> int:
    """Talk with a model. Each reply says how sure it is, and doubtful claims are marked.

    /help lists what can be said about a reply. Lines that are piped in are one turn each.
    """
    del help_all
    if verbose:
        be_verbose()
    from et_agent.asking.options import AskOptions
    from et_agent.cli import loading
    from et_agent.cli.chat_files import find_chat, new_chat
    from et_agent.cli.chatting import Conversing
    from et_agent.cli.display import Board
    from et_agent.cli.prompts import read_system
    from et_agent.cli.terminal import is_watched
    from et_agent.weights.addresses import is_address

    if list_chats:
        return _list()
    loading.check_load_settings(context=context, threads=threads, width=width)
    gone_on = None if resume is None else find_chat("" if resume == _LATEST else resume)
    named = model is not None or fast
    spec = gone_on.model if gone_on and not named else loading.chosen_model(model, fast=fast)
    prompt = read_system(system)
    begun = gone_on or new_chat(spec, prompt)
    begun = begun.model_copy(
        update={"model": spec, "system": begun.system if prompt is None else prompt}
    )
    decodes = chosen_decoder(call, decoder, served=is_address(spec), seed=seed)
    options = AskOptions(
        decoder=decodes.settings,
        kind=kind.value,
        seed=seed or 0,
        **thinking_keywords(thinking, max_thinking_tokens, template_options),
    )

    def opened(name: str) -> "AbstractContextManager[AnyModel]":
        here: loading.LoadSettings = {
            "context": context,
            "threads": threads,
            "width": width,
            "dequantize": dequantize,
            "gpu": loading.GpuSettings(gpu_layers, split_mode, main_gpu),
        }
        if name != spec:
            loading.check_target(name, "/model", template=True)
        # What is loaded is shown until it is there, and then no more.
        shown = is_watched() and not is_verbose()
        with Board([name], model=name, decoder=decodes.name, shown=shown) as board:
            settings = {} if is_address(name) else here
            return loading.open_model(name, **settings, progress=board.transfer)

    with Conversing(begun, options, opened, saves=not no_save) as talk:
        return _Loop(talk, decodes.name, as_json=as_json).run(goes_on=gone_on is not None)


def _list() -> int:
    from et_agent.cli.chat_files import saved_chats
    from et_agent.cli.terminal import one_line, write_line
    from et_agent.wording import counted

    found = list(saved_chats())
    for one in found:
        turns = counted(len(one.turns), "turn")
        write_line(f"{one_line(one.name)}  {turns}, {one_line(one.model)}")
    if not found:
        write_line("no conversations yet: begin one with `et-agent chat`")
    return 0


class _Loop:
    """Reads turns and commands, and prints what comes of them."""

    def __init__(self, talk: "Conversing", decoder: str, *, as_json: bool) -> None:
        from et_agent.cli.terminal import is_watched

        self._talk, self._decoder, self._as_json = talk, decoder, as_json
        self._watched = sys.stdin is not None and sys.stdin.isatty() and is_watched()
        self._code = 0
        self._tree: AskResult | None = None
        self._commands: dict[str, Callable[[str], None]] = {
            "/explain": self._explain,
            "/tree": self._draw,
            "/right": partial(self._label, True),
            "/wrong": partial(self._label, False),
            "/model": self._use,
            "/undo": self._undo,
            "/new": self._restart,
            "/help": self._help,
        }

    def run(self, *, goes_on: bool) -> int:
        """Go on to the end of the input; gives the exit code."""
        from et_agent.cli.chat_view import print_earlier
        from et_agent.cli.terminal import one_line, write_line
        from et_agent.errors import EtAgentError, PromptTooLongError

        if self._watched:
            write_line(f"{one_line(self._talk.chat.model)}; /help lists commands, Ctrl-D leaves")
            if goes_on:
                turns = [(one.question, one.result) for one in self._talk.chat.turns]
                print_earlier(self._talk.chat.name, turns)
        for line in self._lines():
            name, _, rest = line.partition(" ")
            try:
                if name in ("/quit", "/exit"):
                    break
                if name.startswith("/") and (run := self._commands.get(name)) is not None:
                    run(rest.strip())
                elif name.startswith("/") and name[1:].isalpha():
                    self._tell_unknown(name)
                elif self._turn(line) == INTERRUPTED and not self._watched:
                    return INTERRUPTED
            except PromptTooLongError as error:
                self._code = fail(f"{error}{_SHORTER if self._talk.chat.turns else ''}")
            except EtAgentError as error:
                # A conversation goes on after what can be mended.
                self._code = fail(str(error))
        if self._watched and self._talk.saves and self._talk.chat.turns:
            write_line(f"to go on: et-agent chat --resume {self._talk.chat.name}")
        return 0 if self._watched else self._code

    def _lines(self) -> Iterator[str]:
        if not self._watched:
            yield from (line.strip() for line in sys.stdin or () if line.strip())
            return
        _edit_lines()
        while True:
            try:
                line = input("> ").strip()
            except EOFError:
                print()
                return
            except KeyboardInterrupt:
                print()
                continue
            if line:
                yield line

    def _turn(self, line: str) -> int:
        from et_agent.cli.answering import json_of
        from et_agent.cli.chat_view import print_reply, reply_line
        from et_agent.cli.display import Board
        from et_agent.cli.interrupt import Interrupts
        from et_agent.cli.terminal import write_line

        shown = self._watched and not is_verbose()
        with (
            Interrupts() as interrupts,
            Board([line], model=self._talk.chat.model, decoder=self._decoder, shown=shown) as board,
        ):
            interrupts.cursor_hidden = shown
            board.begin(lambda _: False, lambda: interrupts.happened)

            def on_cancel(cancel: Callable[[], None]) -> None:
                interrupts.on_interrupt = cancel

            note = partial(board.note, 0) if shown else None
            result = self._talk.ask(line, on_progress=note, on_cancel=on_cancel)
        self._tree = result
        if self._as_json:
            write_line(json_of(result, tree=False, indent=False))
        elif self._watched:
            turn = self._talk.chat.last
            print_reply(result, turn.reply if turn is not None and result.complete else "")
        else:
            write_line(reply_line(result))
        return INTERRUPTED if interrupts.happened else 0

    def _explain(self, _: str) -> None:
        from et_agent.cli.brief import because
        from et_agent.cli.report import basis, print_details
        from et_agent.cli.terminal import write_line

        result = self._talk.last_result()
        if (found := result.calibration) is not None:
            write_line(f"rests on {because(basis(found), found)}")
        print_details(result, tree=False, explain=True)

    def _draw(self, _: str) -> None:
        from et_agent.cli.report import print_details
        from et_agent.errors import QuestionError

        result = self._talk.last_result()
        if result.tree is None:
            raise QuestionError("the tree of an earlier conversation is not kept: ask again")
        print_details(result, tree=True, explain=False)

    def _label(self, right: bool, _: str) -> None:
        self._say(self._talk.label(right))

    def _use(self, name: str) -> None:
        from et_agent.errors import QuestionError

        if not name:
            raise QuestionError(f"the model is {self._talk.chat.model}: name another, /model NAME")
        self._talk.use(name)
        self._say(f"going on with {name}")

    def _undo(self, _: str) -> None:
        self._say(f"taken back: {self._talk.undo()}")

    def _restart(self, _: str) -> None:
        self._talk.restart()
        self._say("a new conversation")

    def _help(self, _: str) -> None:
        for name, what in _HELP:
            self._say(f"{name:<16}{what}")

    def _tell_unknown(self, name: str) -> None:
        from et_agent.errors import QuestionError

        raise QuestionError(f"there is no command {name}: /help lists them")

    def _say(self, text: str) -> None:
        from et_agent.cli.terminal import say, visible, write_line

        # Piped, standard output has one line per turn and nothing else.
        (write_line if self._watched else say)(visible(text))


def _edit_lines() -> None:
    """Let `input` edit lines and remember them, where the system has that."""
    with suppress(ImportError):
        import readline  # noqa: F401
