using System.Management.Automation;
using System.Management.Automation.Language;
using System.Text;
using C10kServer.Parameters;
using C10kServer.Scripting;
using Microsoft.PowerShell.Commands;

namespace C10kServer.Commands;

// The parameters of script handlers, and how they are checked and used.
public sealed partial class StartC10kServerCommand
{
    private const string ScriptSet = "Script";

    // With two threads, a handler that is held up does not hold up the others. Each further runspace costs some 5 MB and 50 ms.
    private const int LeastDefaultHandlers = 2;
    private const int MostDefaultHandlers = 4;

    // In every encoding that contains ASCII, a byte up to this value is always a character by itself.
    private const byte LastControl = 0x20;

    private static readonly TimeSpan DefaultHandlerTimeout = TimeSpan.FromSeconds(30);

    /// <summary>The script that is called with each message. Its output is sent back.</summary>
    [Parameter(ParameterSetName = ScriptSet, Mandatory = true)]
    [ValidateNotNull]
    public ScriptBlock ScriptBlock { get; set; } = null!;

    /// <summary>The script that is called when a connection opens.</summary>
    [Parameter(ParameterSetName = ScriptSet)]
    [ValidateNotNull]
    public ScriptBlock? OnConnect { get; set; }

    /// <summary>The script that is called when a connection is over.</summary>
    [Parameter(ParameterSetName = ScriptSet)]
    [ValidateNotNull]
    public ScriptBlock? OnClose { get; set; }

    /// <summary>The rule for where a message ends and the next one begins.</summary>
    [Parameter(ParameterSetName = ScriptSet)]
    public Framing Framing { get; set; }

    /// <summary>The string or the bytes that end a message, with -Framing Delimiter.</summary>
    [Parameter(ParameterSetName = ScriptSet)]
    [ValidateNotNullOrEmpty]
    public object? Delimiter { get; set; }

    /// <summary>The number of bytes of the length before a message, with -Framing Length.</summary>
    [Parameter(ParameterSetName = ScriptSet)]
    [ValidateSet("1", "2", "4")]
    public int LengthSize { get; set; } = 4;

    /// <summary>The byte order of that length.</summary>
    [Parameter(ParameterSetName = ScriptSet)]
    public ByteOrder ByteOrder { get; set; }

    /// <summary>The number of bytes of a message, with -Framing Fixed.</summary>
    [Parameter(ParameterSetName = ScriptSet)]
    [ValidateRange(1, int.MaxValue)]
    public int MessageSize { get; set; }

    /// <summary>The end of the lines that are sent, with -Framing Line.</summary>
    [Parameter(ParameterSetName = ScriptSet)]
    public NewLine NewLine { get; set; }

    /// <summary>The encoding of text on the wire.</summary>
    [Parameter(ParameterSetName = ScriptSet)]
    [Encoding]
    [ArgumentCompleter(typeof(EncodingCompleter))]
    [ValidateNotNull]
    public Encoding Encoding { get; set; } = EncodingAttribute.Utf8;

    /// <summary>Gives the handler byte arrays instead of strings.</summary>
    [Parameter(ParameterSetName = ScriptSet)]
    public SwitchParameter AsByteStream { get; set; }

    /// <summary>The number of handler threads, each with a runspace of its own.</summary>
    [Parameter(ParameterSetName = ScriptSet)]
    [ValidateRange(1, 256)]
    public int HandlerCount { get; set; } = Math.Clamp(Environment.ProcessorCount, LeastDefaultHandlers, MostDefaultHandlers);

    /// <summary>How long the handler may take for a message.</summary>
    [Parameter(ParameterSetName = ScriptSet)]
    public Duration HandlerTimeout { get; set; } = new(DefaultHandlerTimeout);

    /// <summary>Modules for the handler's runspaces, by name or path.</summary>
    [Parameter(ParameterSetName = ScriptSet)]
    [ValidateNotNullOrEmpty]
    public string[] ImportModule { get; set; } = [];

    /// <summary>Further arguments of the script blocks, after the connection and the message.</summary>
    [Parameter(ParameterSetName = ScriptSet)]
    [AllowNull]
    [AllowEmptyCollection]
    public object?[]? ArgumentList { get; set; }

    /// <summary>Finds parameters of the Script set that are missing, or that would have no effect. Returns null if there is no problem.</summary>
    private string? ScriptProblem() =>
        ParameterSetName != ScriptSet ? null
        : Stray(nameof(Delimiter), Framing.Delimiter) ?? Stray(nameof(LengthSize), Framing.Length) ?? Stray(nameof(ByteOrder), Framing.Length)
        ?? Stray(nameof(MessageSize), Framing.Fixed) ?? Stray(nameof(NewLine), Framing.Line)
        ?? (Framing == Framing.Delimiter && Delimiter is null
                ? "-Framing Delimiter needs -Delimiter: the string or the bytes that end a message."
            : Framing == Framing.Fixed && MessageSize == 0
                ? "-Framing Fixed needs -MessageSize: the bytes of a message."
            : Framing == Framing.Line && Encoding.GetByteCount("\n") != 1
                ? $"-Framing Line looks for a byte, and a line feed in {Encoding.WebName} has {Encoding.GetByteCount("\n")}. Use -Framing Length, " +
                  "or -Framing Raw."
            : null);

    private string? Stray(string parameter, Framing wanted) =>
        IsGiven(parameter) && Framing != wanted ? $"-{parameter} is for -Framing {wanted}: give both, or neither." : null;

    private HandlerSource ScriptHandler()
    {
        ShellEnd.Watch();
        try
        {
            return HandlerSource.Script(ScriptCode());
        }
        catch (HandlerScriptException e)
        {
            Fail(e);
            throw;
        }
        catch (ArgumentException e)
        {
            Fail(e, "InvalidArgument", ErrorCategory.InvalidArgument, null);
            throw;
        }
    }

    private HandlerCode ScriptCode()
    {
        Dictionary<string, object?> usings = new(StringComparer.OrdinalIgnoreCase);
        return new HandlerCode
        {
            OnMessage = HandlerScript.Prepare(nameof(ScriptBlock), ScriptBlock, LookUp, usings),
            OnConnect = OnConnect is null ? null : HandlerScript.Prepare(nameof(OnConnect), OnConnect, LookUp, usings),
            OnClose = OnClose is null ? null : HandlerScript.Prepare(nameof(OnClose), OnClose, LookUp, usings),
            Usings = usings,
            Modules = [.. ImportModule.Select(ResolveModule)],
            Arguments = CheckedArguments(),
            Location = SessionState.Path.CurrentFileSystemLocation.ProviderPath,
            Framing = EngineFraming(),
            Delimiter = Argument.Unwrap(Delimiter),
            NewLine = Framing == Framing.Line ? NewLine : null,
            Encoding = Encoding,
            AsBytes = AsByteStream,
            ThreadCount = HandlerCount,
            Timeout = HandlerTimeout,
        };
    }

    private object?[] CheckedArguments()
    {
        object?[] arguments = ArgumentList ?? [];
        for (int i = 0; i < arguments.Length; i++)
        {
            HandlerScript.RefuseScriptBlocks(nameof(ArgumentList), $"[{i}]", arguments[i]);
        }

        return arguments;
    }

    private Engine.Framing EngineFraming() => Framing switch
    {
        Framing.Raw => Engine.Framing.Raw,
        Framing.Line => NewLine == NewLine.CrLf ? Engine.Framing.LineCrLf : Engine.Framing.Line,
        Framing.Delimiter => Engine.Framing.At(DelimiterBytes(out bool isText), DelimiterAlignment(isText)),
        Framing.Length => Engine.Framing.Length(LengthSize, ByteOrder == ByteOrder.LittleEndian),
        Framing.Fixed => Engine.Framing.Fixed(MessageSize),
        _ => throw new ArgumentOutOfRangeException(nameof(Framing), Framing, "There is no such framing."),
    };

    private byte[] DelimiterBytes(out bool isText)
    {
        isText = Argument.Unwrap(Delimiter) is string or char;
        if (!isText)
        {
            return LanguagePrimitives.TryConvertTo(Delimiter, out byte[] given)
                ? given
                : throw new ArgumentException($"-{nameof(Delimiter)}: A delimiter is a string or bytes.");
        }

        byte[] bytes = Encoding.GetBytes($"{Argument.Unwrap(Delimiter)}");
        if (bytes.Length > 0 && bytes[0] > LastControl && MayEndCharacters())
        {
            throw new ArgumentException(
                $"-{nameof(Delimiter)}: in {Encoding.WebName} the bytes of '{Argument.Unwrap(Delimiter)}' may stand within a character, which would " +
                "be cut there. Give a control character, or a space, or use -Framing Length.");
        }

        return bytes;
    }

    /// <summary>
    /// Whether bytes that are characters by themselves may also be parts of other characters. That is so in the double-byte encodings of East
    /// Asia. In UTF-8 it is not. In UTF-16 and UTF-32 the delimiter is looked for only where a character can begin.
    /// </summary>
    private bool MayEndCharacters() => !Encoding.IsSingleByte && Encoding is not (UTF8Encoding or UnicodeEncoding or UTF32Encoding);

    /// <summary>
    /// The number of bytes of a code unit if messages are text, and otherwise 1. Bytes that look like a delimiter but begin within a code
    /// unit are not a delimiter.
    /// </summary>
    private int DelimiterAlignment(bool isText) => isText || !AsByteStream ? Encoding.GetByteCount("\0") : 1;

    /// <summary>
    /// Resolves a module's path from the caller's location, because the handler's runspace may have another one. A name stays a name, and is
    /// looked for where modules are.
    /// </summary>
    private string ResolveModule(string module)
    {
        if (!module.Contains('/') && !module.StartsWith('~') && !module.StartsWith('.'))
        {
            return module;
        }

        string path = SessionState.Path.GetUnresolvedProviderPathFromPSPath(module, out ProviderInfo provider, out _);
        return provider.Name == FileSystemProvider.ProviderName && Path.Exists(path)
            ? path
            : throw new HandlerScriptException("ModuleNotFound", ErrorCategory.ObjectNotFound, $"-{nameof(ImportModule)}: there is no module at '{module}'.");
    }

    /// <summary>Whether a function, an environment variable or another item with that path exists.</summary>
    private bool ItemExists(string path)
    {
        try
        {
            return InvokeProvider.Item.Exists(path, force: true, literalPath: true);
        }
        catch (System.Management.Automation.DriveNotFoundException)
        {
            return false;
        }
    }

    /// <summary>Gets the value of an expression in the caller's scope. The caller has the variable without "using:".</summary>
    private bool LookUp(VariablePath variable, ExpressionAst expression, out object? value)
    {
        PSVariable? plain = variable.IsDriveQualified ? null : SessionState.PSVariable.Get(variable.UserPath);
        value = plain?.Value;
        if (variable.IsDriveQualified ? !ItemExists(variable.UserPath) : plain is null)
        {
            return false;
        }

        if (variable.IsDriveQualified || expression is not VariableExpressionAst)
        {
            // The expression is a member, an element, or a variable of another drive. The comma keeps a collection in one piece.
            string text = "," + HandlerScript.WithoutUsing(expression.Extent.Text);
            value = InvokeCommand.InvokeScript(useLocalScope: false, ScriptBlock.Create(text), null, null).FirstOrDefault();
        }

        return true;
    }
}
