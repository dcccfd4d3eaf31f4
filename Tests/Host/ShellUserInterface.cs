using System.Collections.ObjectModel;
using System.Management.Automation;
using System.Management.Automation.Host;
using System.Management.Automation.Internal;
using System.Security;

namespace C10kServer.Host;

/// <summary>What the engine shows and asks. Everything goes to standard output, errors to standard error, as pwsh does it.</summary>
internal sealed class ShellUserInterface(Prompter prompter) : PSHostUserInterface
{
    private const string ClearLine = "\r\e[2K";

    // The pipeline's thread writes, and so does each thread that runs an event's action.
    private readonly Lock _screen = new();
    private readonly bool _outputIsTerminal = !Console.IsOutputRedirected && IsCapable;
    private readonly bool _errorIsTerminal = !Console.IsErrorRedirected && IsCapable;
    private bool _progressShown;

    /// <summary>The shell's <c>$PSStyle</c>, once there is one.</summary>
    public PSStyle? Style { get; set; }

    public override PSHostRawUserInterface RawUI { get; } = new ShellRawUserInterface();

    public override bool SupportsVirtualTerminal => _outputIsTerminal;

    private static bool IsCapable =>
        Environment.GetEnvironmentVariable("TERM") is not (null or "" or "dumb")
        && Environment.GetEnvironmentVariable("NO_COLOR") is null or "";

    public override string ReadLine() => prompter.ReadLine("");

    public override SecureString ReadLineAsSecureString() => prompter.ReadSecret("");

    public override Dictionary<string, PSObject> Prompt(string caption, string message, Collection<FieldDescription> descriptions)
    {
        WriteHeading(caption, message);
        return prompter.ReadFields(descriptions);
    }

    public override int PromptForChoice(string caption, string message, Collection<ChoiceDescription> choices, int defaultChoice)
    {
        WriteHeading(caption, message);
        return prompter.ReadChoice(choices, defaultChoice, WriteLine);
    }

    public override PSCredential PromptForCredential(string caption, string message, string userName, string targetName) =>
        throw new NotSupportedException("This host asks for no credentials. Make one: [PSCredential]::new($user, $secureString).");

    public override PSCredential PromptForCredential(
        string caption,
        string message,
        string userName,
        string targetName,
        PSCredentialTypes allowedCredentialTypes,
        PSCredentialUIOptions options) =>
        PromptForCredential(caption, message, userName, targetName);

    public override void Write(string value)
    {
        lock (_screen)
        {
            ClearProgress();
            Console.Out.Write(GetOutputString(value, SupportsVirtualTerminal));
        }
    }

    public override void Write(ConsoleColor foregroundColor, ConsoleColor backgroundColor, string value)
    {
        if (!_outputIsTerminal)
        {
            Write(value);
            return;
        }

        lock (_screen)
        {
            ClearProgress();
            Console.ForegroundColor = foregroundColor;
            if (backgroundColor >= 0)
            {
                Console.BackgroundColor = backgroundColor;
            }

            Console.Out.Write(value);
            Console.ResetColor();
        }
    }

    public override void WriteLine() => Write(Environment.NewLine);

    public override void WriteLine(string value) => Write(value + Environment.NewLine);

    public override void WriteLine(ConsoleColor foregroundColor, ConsoleColor backgroundColor, string value)
    {
        Write(foregroundColor, backgroundColor, value);
        WriteLine();
    }

    public override void WriteErrorLine(string value)
    {
        lock (_screen)
        {
            ClearProgress();
            if (!_errorIsTerminal)
            {
                value = new StringDecorated(value).ToString(OutputRendering.PlainText);
            }
            else if (!value.Contains('\e', StringComparison.Ordinal))
            {
                value = Styled(Style?.Formatting.Error, value);
            }

            Console.Error.WriteLine(value);
        }
    }

    public override void WriteWarningLine(string message) => WriteLine(Decorated(Style?.Formatting.Warning, "WARNING: " + message));

    public override void WriteVerboseLine(string message) => WriteLine(Decorated(Style?.Formatting.Verbose, "VERBOSE: " + message));

    public override void WriteDebugLine(string message) => WriteLine(Decorated(Style?.Formatting.Debug, "DEBUG: " + message));

    public override void WriteProgress(long sourceId, ProgressRecord record)
    {
        if (!_outputIsTerminal)
        {
            return;
        }

        lock (_screen)
        {
            ClearProgress();
            if (record.RecordType == ProgressRecordType.Completed)
            {
                return;
            }

            var percent = record.PercentComplete is >= 0 and <= 100 ? $" {record.PercentComplete}%" : "";
            var left = record.SecondsRemaining >= 0 ? $" {TimeSpan.FromSeconds(record.SecondsRemaining):g} left" : "";
            var line = $"{record.Activity}: {record.StatusDescription} {record.CurrentOperation}".TrimEnd().ReplaceLineEndings(" ");
            var room = Math.Max(0, RawUI.WindowSize.Width - 1 - percent.Length - left.Length);
            Console.Out.Write(Styled(Style?.Progress.Style, (line.Length > room ? line[..room] : line) + percent + left));
            _progressShown = true;
        }
    }

    /// <summary>Takes the progress line off the screen: a pipeline that was stopped has not completed it.</summary>
    public void EndProgress()
    {
        lock (_screen)
        {
            ClearProgress();
        }
    }

    private static string Styled(string? style, string text) => string.IsNullOrEmpty(style) ? text : style + text + "\e[0m";

    private string Decorated(string? style, string text) => _outputIsTerminal ? Styled(style, text) : text;

    private void WriteHeading(string caption, string message)
    {
        if (!string.IsNullOrEmpty(caption))
        {
            WriteLine();
            WriteLine(Decorated("\e[1m", caption));
        }

        if (!string.IsNullOrEmpty(message))
        {
            WriteLine(message);
        }
    }

    private void ClearProgress()
    {
        if (_progressShown)
        {
            Console.Out.Write(ClearLine);
            _progressShown = false;
        }
    }
}
