using System.Collections.Concurrent;

namespace C10kServer.Clients;

/// <summary>The lines of standard input, read on a thread of their own, since it may be a file, a pipe or a terminal.</summary>
internal sealed class Inbox
{
    private readonly ConcurrentQueue<string?> _lines = new();
    private readonly Loop _loop;

    public Inbox(Loop loop)
    {
        _loop = loop;
        new Thread(Read) { IsBackground = true, Name = "stdin" }.Start();
    }

    public bool IsEmpty => _lines.IsEmpty;

    /// <summary>The next line; null at the end of the input, and when there is none yet.</summary>
    public string? Take() => _lines.TryDequeue(out string? line) ? line : null;

    private void Read()
    {
        string? line;
        do
        {
            line = Console.In.ReadLine();
            _lines.Enqueue(line);
            _loop.Wake();
        }
        while (line is not null);
    }
}
