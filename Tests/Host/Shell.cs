using System.Management.Automation;
using System.Management.Automation.Language;
using System.Management.Automation.Runspaces;
using System.Reflection;

namespace C10kServer.Host;

/// <summary>A runspace and what is run in it: a command, a script file, or the lines of a prompt.</summary>
internal sealed class Shell
{
    private const int Interrupted = 128 + 2;
    private const BindingFlags Hidden = BindingFlags.Instance | BindingFlags.NonPublic;

    // A server or a handler that will not stop must not keep the process: two seconds are promised, the process exit has its own share.
    private static readonly TimeSpan EndTimeout = TimeSpan.FromSeconds(1.5);

    private readonly ShellOptions _options;
    private readonly ShellUserInterface _userInterface;
    private readonly Runspace _runspace;
    private readonly Lock _gate = new();
    private readonly Stack<PowerShell> _running = new();
    private volatile bool _exiting;
    private bool _ending;
    private int _exitCode;
    private int _nesting;
    private int _leaveNesting;

    public Shell(ShellOptions options)
    {
        _options = options;
        _userInterface = new ShellUserInterface(new Prompter(options.NonInteractive));
        var state = InitialSessionState.CreateDefault2();
        state.ThreadOptions = PSThreadOptions.ReuseThread;
        _runspace = RunspaceFactory.CreateRunspace(new ShellHost(this, _userInterface), state);
    }

    /// <summary>Runs what the options ask for. Main thread.</summary>
    /// <param name="module">The manifest to import first, or null.</param>
    /// <returns>The exit code.</returns>
    public int Run(string? module)
    {
        _runspace.Open();
        _userInterface.Style = _runspace.SessionStateProxy.GetVariable("PSStyle") as PSStyle;
        if (_options.WorkingDirectory is { } directory)
        {
            _runspace.SessionStateProxy.Path.SetLocation(WildcardPattern.Escape(Path.GetFullPath(directory)));
        }

        if (module is not null)
        {
            Invoke(p => p.AddCommand("Import-Module").AddParameter("Name", module));
        }

        var code = 0;
        if (_options.Command is { } text)
        {
            code = RunCommand(text == "-" ? Console.In.ReadToEnd() : text);
        }
        else if (_options.File is { } file)
        {
            code = RunFile(file);
        }

        if (!_exiting && (_options.NoExit || (_options.Command is null && _options.File is null)))
        {
            Prompt();
            code = 0;
        }

        return _exiting ? _exitCode : code;
    }

    /// <summary>Stops what runs, if anything does. Any thread.</summary>
    public void StopPipeline()
    {
        lock (_gate)
        {
            if (_running.TryPeek(out var pipeline))
            {
                pipeline.BeginStop(null, null);
            }
        }
    }

    /// <summary>Notes that <c>exit</c> was run: the session ends after this pipeline. Pipeline thread.</summary>
    public void Exit(int exitCode)
    {
        _exitCode = exitCode;
        _exiting = true;
    }

    /// <summary>Closes the runspace and ends the process, in bounded time and whatever still runs. Any thread; does not return.</summary>
    public void End(int exitCode)
    {
        lock (_gate)
        {
            if (_ending)
            {
                // The other caller ends the process; this thread must not go on past it.
                exitCode = -1;
            }

            _ending = true;
            _exiting = true;
        }

        if (exitCode == -1)
        {
            Thread.Sleep(Timeout.Infinite);
        }

        Task.Run(() =>
        {
            StopPipeline();
            _runspace.Dispose();
        }).Wait(EndTimeout);
        Environment.Exit(exitCode);
    }

    /// <summary>Reads and runs lines within a running pipeline, until <c>exit</c> or ExitNestedPrompt. Pipeline thread.</summary>
    public void EnterNestedPrompt()
    {
        _nesting++;
        try
        {
            Prompt();
        }
        finally
        {
            _nesting--;
            _leaveNesting = 0;
            _exiting = false;
        }
    }

    public void ExitNestedPrompt() => _leaveNesting = _nesting;

    private int RunCommand(string text)
    {
        var outcome = Invoke(p => p.AddScript(text), own: true);
        return outcome switch { Outcome.Succeeded => 0, Outcome.Stopped => Interrupted, _ => 1 };
    }

    private int RunFile(string file)
    {
        var path = Path.GetFullPath(file);
        if (!File.Exists(path))
        {
            _userInterface.WriteErrorLine($"The script '{file}' does not exist.");
            return 64;
        }

        if (!_options.NoExit)
        {
            LetScriptExit();
        }

        var outcome = Invoke(p =>
        {
            p.AddCommand(path, useLocalScope: false);
            AddArguments(p, _options.Arguments);
        }, own: true);

        return outcome switch { Outcome.Stopped => Interrupted, Outcome.Threw => 1, _ => 0 };
    }

    /// <summary>Makes the next script's <c>exit</c> end the session. Without it an exit from a script file shows only in variables
    /// that a native command sets in the same way; pwsh uses the same switch, and the engine shows it to no one else.</summary>
    private void LetScriptExit()
    {
        var context = typeof(Runspace).GetProperty("ExecutionContext", Hidden)!.GetValue(_runspace)!;
        context.GetType().GetProperty("ScriptCommandProcessorShouldRethrowExit", Hidden)!.SetValue(context, true);
    }

    private static void AddArguments(PowerShell pipeline, IReadOnlyList<string> arguments)
    {
        foreach (var argument in arguments)
        {
            var colon = argument.IndexOf(':', StringComparison.Ordinal);
            if (argument.Length < 2 || argument[0] != '-' || !(char.IsLetter(argument[1]) || argument[1] == '_'))
            {
                pipeline.AddArgument(argument);
            }
            else if (colon > 0)
            {
                pipeline.AddParameter(argument[1..colon], ValueOf(argument[(colon + 1)..]));
            }
            else
            {
                // With its dash, a name is bound as one typed in a script is: whether a value follows is the binder's to know.
                pipeline.Commands.Commands[^1].Parameters.Add(new CommandParameter(argument));
            }
        }

        static object ValueOf(string text) => text switch
        {
            _ when text.Equals("$true", StringComparison.OrdinalIgnoreCase) => true,
            _ when text.Equals("$false", StringComparison.OrdinalIgnoreCase) => false,
            _ => text,
        };
    }

    private void Prompt()
    {
        var editor = CommandLineEditor.IsSupported && !_options.NonInteractive ? new CommandLineEditor(Complete) : null;
        while (!_exiting && _leaveNesting == 0)
        {
            var text = ReadCommand(editor, out var ended);
            if (ended)
            {
                return;
            }

            if (!string.IsNullOrWhiteSpace(text))
            {
                Invoke(p => p.AddScript(text), own: true);
            }
        }
    }

    /// <summary>Reads lines until they parse as a whole, or a blank line ends the attempt.</summary>
    private string? ReadCommand(CommandLineEditor? editor, out bool ended)
    {
        var text = "";
        while (true)
        {
            string? line;
            if (editor is null)
            {
                line = Console.In.ReadLine();
                ended = line is null && text.Length == 0;
            }
            else
            {
                editor.Before = text;
                line = editor.Read(text.Length == 0 ? PromptText() : ">> ", out ended);
            }

            if (line is null)
            {
                // Ctrl+C drops what was typed; at the end of a redirected input what there is has to do.
                return editor is null ? text : null;
            }

            text += line;
            Parser.ParseInput(text, out _, out var errors);
            if (!errors.Any(e => e.IncompleteInput) || (text.Length > line.Length && string.IsNullOrWhiteSpace(line) && editor is not null))
            {
                return text;
            }

            text += "\n";
        }
    }

    private string PromptText()
    {
        try
        {
            using var pipeline = Create();
            return string.Concat(pipeline.AddCommand("prompt").Invoke<string>().DefaultIfEmpty("PS> "));
        }
        catch (Exception e) when (e is RuntimeException or InvalidRunspaceStateException)
        {
            return "PS> ";
        }
    }

    private CommandCompletion? Complete(string text, int position)
    {
        try
        {
            using var pipeline = Create();
            return CommandCompletion.CompleteInput(text, position, null, pipeline);
        }
        catch (RuntimeException)
        {
            return null;
        }
    }

    private PowerShell Create()
    {
        // A nested prompt is on the pipeline's thread already; a new pipeline would wait for this one to end.
        if (_nesting > 0)
        {
            return PowerShell.Create(RunspaceMode.CurrentRunspace);
        }

        var pipeline = PowerShell.Create();
        pipeline.Runspace = _runspace;
        return pipeline;
    }

    /// <param name="build">Puts the command in.</param>
    /// <param name="own">Whether the command is the user's, and not the shell's.</param>
    private Outcome Invoke(Action<PowerShell> build, bool own = false)
    {
        using var pipeline = Create();
        build(pipeline);

        // Errors take the way of the output, so that both come out in the order in which they were written.
        pipeline.Commands.Commands[^1].MergeMyResults(PipelineResultTypes.Error, PipelineResultTypes.Output);
        pipeline.AddCommand("Out-Default");
        lock (_gate)
        {
            _running.Push(pipeline);
        }

        try
        {
            // The engine keeps $? of those pipelines alone that go into the history.
            pipeline.Invoke(null, new PSInvocationSettings { AddToHistory = own });
            if (pipeline.InvocationStateInfo.State == PSInvocationState.Stopped)
            {
                return Outcome.Stopped;
            }

            return Succeeded() ? Outcome.Succeeded : Outcome.Failed;
        }
        catch (Exception e) when (e is PipelineStoppedException or InvalidRunspaceStateException)
        {
            // The second is what a pipeline gets whose session is ended by a signal.
            return Outcome.Stopped;
        }
        catch (RuntimeException e)
        {
            Report(e);
            return Outcome.Threw;
        }
        finally
        {
            lock (_gate)
            {
                _running.Pop();
            }

            _userInterface.EndProgress();
        }
    }

    /// <summary>Whether what ran last left <c>$?</c> true; only a script sees the engine's own value of it.</summary>
    private bool Succeeded()
    {
        using var pipeline = Create();
        return pipeline.AddScript("$global:?").Invoke<bool>().FirstOrDefault(true);
    }

    private void Report(RuntimeException exception)
    {
        // Marked as what came out of an error stream: the engine marks only what a running command writes; pwsh, which may, marks
        // this one in the same way. The copy has the exception itself, since the view shows nothing for an incomplete command's own.
        var record = new PSObject(new ErrorRecord(exception.ErrorRecord, exception));
        var stream = typeof(PSObject).GetProperty("WriteStream", Hidden)!;
        stream.SetValue(record, Enum.Parse(stream.PropertyType, "Error"));
        try
        {
            using var pipeline = Create();
            pipeline.AddCommand("Out-Default").AddParameter("InputObject", record).Invoke();
        }
        catch (RuntimeException)
        {
            _userInterface.WriteErrorLine(exception.Message);
        }
    }

    private enum Outcome
    {
        Succeeded,
        Failed,
        Threw,
        Stopped,
    }
}
