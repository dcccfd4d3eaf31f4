namespace C10kServer.Benchmark;

/// <summary>A PowerShell in a process of its own, which runs a line at a time and answers each.</summary>
internal sealed class Shell : IDisposable
{
    private const string End = "<end>";

    // Answers are read by a program: without colours.
    private const string Plain = "$PSStyle.OutputRendering = 'PlainText'; ";

    // Each line is compiled by itself, as at a prompt, and its output is formatted as there.
    private const string Loop =
        "while ($null -ne ($line = [Console]::In.ReadLine())) { " +
        $". ([scriptblock]::Create($line)) | Out-Default; [Console]::Out.WriteLine('{End}') }}";

    /// <param name="withModule">The module is imported before the first line.</param>
    internal Shell(bool withModule = true)
    {
        string import = withModule ? $"Import-Module '{Programs.RepositoryRoot}C10kServer.psd1'; " : "";
        Process = new ChildProcess([.. Programs.PowerShell, "-NoProfile", "-NonInteractive", "-Command", Plain + import + Loop]);
    }

    internal ChildProcess Process { get; }

    /// <summary>Runs a line, and returns its output as one text.</summary>
    internal string Ask(string line) => string.Join('\n', Run(line));

    /// <summary>Runs a line. Its output comes as it is written.</summary>
    internal IEnumerable<string> Run(string line)
    {
        Process.Input.WriteLine(line);
        Process.Input.Flush();
        while (true)
        {
            switch (Process.Output.ReadLine())
            {
                case null:
                    throw new InvalidOperationException($"The shell has ended at: {line}");
                case End:
                    yield break;
                case { } output:
                    yield return output;
                    break;
            }
        }
    }

    public void Dispose() => Process.Dispose();
}
