namespace C10kServer.Host;

/// <summary>What the command line asks for. Written by hand because <c>-Command</c> and <c>-File</c> take all that follows them,
/// dashes included, which no option parser offers.</summary>
internal sealed class ShellOptions
{
    public const string Usage = """
        C10kServer.Host [-NoExit] [-NonInteractive] [-NoModule] [-WorkingDirectory <path>]
                        [-Command { - | <text> [<text> ...] } | [-File] <script> [<argument> ...]]
        Without -Command and -File: a prompt. -NoModule leaves C10kServer unimported. -NoLogo and -NoProfile are taken and change
        nothing, since there is neither.
        """;

    public bool Help { get; private set; }

    public bool NoExit { get; private set; }

    public bool NonInteractive { get; private set; }

    public bool NoModule { get; private set; }

    public string? WorkingDirectory { get; private set; }

    /// <summary>The text to run; "-" stands for standard input.</summary>
    public string? Command { get; private set; }

    public string? File { get; private set; }

    public IReadOnlyList<string> Arguments { get; private set; } = [];

    public static ShellOptions Parse(string[] args)
    {
        var options = new ShellOptions();
        for (var i = 0; i < args.Length; i++)
        {
            var name = args[i];
            switch (Switch(name))
            {
                case "noexit": options.NoExit = true; break;
                case "noninteractive": options.NonInteractive = true; break;
                case "nomodule": options.NoModule = true; break;
                case "nologo" or "noprofile" or "nop": break;
                case "h" or "?" or "help": options.Help = true; break;
                case "workingdirectory" or "wd": options.WorkingDirectory = Value(ref i); break;
                case "c" or "command":
                    Value(ref i);
                    options.Command = string.Join(' ', args[i..]);
                    return options;
                case "f" or "file":
                    options.File = Value(ref i);
                    options.Arguments = args[(i + 1)..];
                    return options;
                case null:
                    options.File = name;
                    options.Arguments = args[(i + 1)..];
                    return options;
                default:
                    throw new FormatException($"'{name}' is not an option.");
            }
        }

        return options;

        string Value(ref int i) =>
            ++i < args.Length ? args[i] : throw new FormatException($"'{args[i - 1]}' needs a value.");
    }

    private static string? Switch(string argument)
    {
        if (argument.Length < 2 || argument[0] != '-')
        {
            return null;
        }

#pragma warning disable CA1308 // The cases above read better in lower case.
        return argument.TrimStart('-').ToLowerInvariant();
#pragma warning restore CA1308
    }
}
