using System.Management.Automation;
using RadLine;
using Spectre.Console;

namespace C10kServer.Host;

/// <summary>A line read from a terminal, with editing, history and completion.</summary>
internal sealed class CommandLineEditor
{
    private readonly EditorPrompt _prompt = new();
    private readonly LineEditor _editor;
    private bool _ended;

    /// <param name="complete">Completes a text at a position; null where there is nothing to complete.</param>
    public CommandLineEditor(Func<string, int, CommandCompletion?>? complete)
    {
        _editor = new LineEditor { Prompt = _prompt };
        _editor.KeyBindings.Add<PreviousHistoryCommand>(ConsoleKey.UpArrow);
        _editor.KeyBindings.Add<NextHistoryCommand>(ConsoleKey.DownArrow);
        _editor.KeyBindings.Add<MoveHomeCommand>(ConsoleKey.A, ConsoleModifiers.Control);
        _editor.KeyBindings.Add<MoveEndCommand>(ConsoleKey.E, ConsoleModifiers.Control);
        _editor.KeyBindings.Add(ConsoleKey.C, ConsoleModifiers.Control, () => new CancelCommand());
        _editor.KeyBindings.Add(ConsoleKey.D, ConsoleModifiers.Control, () => new EndCommand(() => _ended = true));
        var completer = new CompleteCommand(complete, () => Before);
        _editor.KeyBindings.Add(ConsoleKey.Tab, () => completer.Towards(1));
        _editor.KeyBindings.Add(ConsoleKey.Tab, ConsoleModifiers.Shift, () => completer.Towards(-1));
    }

    /// <summary>The lines of the same command that were read before this one; completion takes them into account.</summary>
    public string Before { get; set; } = "";

    public static bool IsSupported =>
        !Console.IsInputRedirected && !Console.IsOutputRedirected && LineEditor.IsSupported(AnsiConsole.Console);

    /// <summary>Reads a line. Returns null for Ctrl+C; <paramref name="ended"/> for Ctrl+D on an empty line.</summary>
    public string? Read(string prompt, out bool ended)
    {
        _prompt.Text = prompt;
        _ended = false;
        Console.TreatControlCAsInput = true;
        try
        {
            return _editor.ReadLine(CancellationToken.None).GetAwaiter().GetResult();
        }
        finally
        {
            Console.TreatControlCAsInput = false;
            ended = _ended;
        }
    }

    private sealed class EditorPrompt : ILineEditorPrompt
    {
        public string Text { get; set; } = "";

        public (Markup Markup, int Margin) GetPrompt(ILineEditorState state, int line) =>
            (new Markup(Markup.Escape(Text.TrimEnd(' '))), Text.EndsWith(' ') ? 1 : 0);
    }

    private sealed class CancelCommand : LineEditorCommand
    {
        public override void Execute(LineEditorContext context) => context.Submit(SubmitAction.Cancel);
    }

    private sealed class EndCommand(Action end) : LineEditorCommand
    {
        public override void Execute(LineEditorContext context)
        {
            if (context.Buffer.Length == 0)
            {
                end();
                context.Submit(SubmitAction.Cancel);
            }
        }
    }

    /// <summary>Puts the next completion in at each press. RadLine's own command completes words between blanks, which are not
    /// PowerShell's, and tells upper from lower case.</summary>
    private sealed class CompleteCommand(Func<string, int, CommandCompletion?>? complete, Func<string> before) : LineEditorCommand
    {
        private CommandCompletion? _completion;
        private string? _shown;
        private string _head = "";
        private string _tail = "";
        private int _step;

        public CompleteCommand Towards(int step)
        {
            _step = step;
            return this;
        }

        public override void Execute(LineEditorContext context)
        {
            var buffer = context.Buffer;
            if (buffer.Content != _shown || _completion is null)
            {
                var offset = before().Length;
                _shown = null;
                _completion = complete?.Invoke(before() + buffer.Content, offset + buffer.Position);
                if (_completion is null || _completion.CompletionMatches.Count == 0 || _completion.ReplacementIndex < offset)
                {
                    return;
                }

                var start = _completion.ReplacementIndex - offset;
                _head = buffer.Content[..start];
                _tail = buffer.Content[(start + _completion.ReplacementLength)..];
                _completion.CurrentMatchIndex = _step > 0 ? -1 : 0;
            }

            var count = _completion.CompletionMatches.Count;
            _completion.CurrentMatchIndex = (_completion.CurrentMatchIndex + _step + count) % count;
            var text = _completion.CompletionMatches[_completion.CurrentMatchIndex].CompletionText;
            buffer.Clear(0, buffer.Length);
            buffer.Move(0);
            buffer.Insert(_head + text + _tail);
            buffer.Move(_head.Length + text.Length);
            _shown = buffer.Content;
        }
    }
}
