using System.Globalization;

namespace C10kServer.Clients;

/// <summary>
/// What happened to the connections of this process. Each that was connected stands in exactly one of
/// open, ended, reset, closed and aborted; each that was not stands in failed.
/// </summary>
internal sealed class Ledger
{
    // The first ones tell what is wrong; a server that corrupts everything must not drown its test in lines.
    private const int WrongLines = 20;

    private readonly SortedDictionary<string, int> _errors = new(StringComparer.Ordinal);
    private int _wrongLines;

    public int Connected { get; set; }

    /// <summary>Never connected.</summary>
    public int Failed { get; set; }

    /// <summary>The server's FIN was received, and not in answer to a close of ours.</summary>
    public int Ended { get; set; }

    /// <summary>Reset by the server, or broken in some other way; the errors say how.</summary>
    public int Reset { get; set; }

    /// <summary>Closed by us in the ordinary way; where input was left unread, the kernel makes a reset of it.</summary>
    public int Closed { get; set; }

    /// <summary>Closed by us with a reset.</summary>
    public int Aborted { get; set; }

    /// <summary>Bytes that the kernel has accepted.</summary>
    public long Sent { get; set; }

    public long Received { get; set; }

    /// <summary>Bytes received that are not the stream's, or that were never sent.</summary>
    public long Wrong { get; private set; }

    public int Open => Connected - Ended - Reset - Closed - Aborted;

    public void CountError(int errno)
    {
        string name = Libc.NameOf(errno);
        _errors[name] = _errors.GetValueOrDefault(name) + 1;
    }

    /// <summary>Counts wrong bytes and tells the first of them on standard error.</summary>
    /// <param name="expected">The byte that belongs there, or null when nothing had been sent for that place.</param>
    public void CountWrong(int connection, long offset, byte? expected, byte got, long bytes)
    {
        Wrong += bytes;
        if (_wrongLines++ < WrongLines)
        {
            Console.Error.WriteLine(new Line("wrong").Add("connection", connection).Add("offset", offset)
                .Add("expected", expected is byte b ? Hex(b) : "nothing").Add("got", Hex(got)).Add("bytes", bytes).ToString());
        }
    }

    /// <summary>The ledger's part of an answer line.</summary>
    public Line AddTo(Line line) => line.Add("connected", Connected).Add("failed", Failed).Add("open", Open).Add("ended", Ended)
        .Add("reset", Reset).Add("closed", Closed).Add("aborted", Aborted).Add("sent", Sent).Add("received", Received).Add("wrong", Wrong);

    /// <summary>The errors by name, as <c>ConnectionRefused:3,TimedOut:1</c>, or <c>none</c>.</summary>
    public string Errors => _errors.Count == 0 ? "none"
        : string.Join(',', _errors.Select(e => string.Create(CultureInfo.InvariantCulture, $"{e.Key}:{e.Value}")));

    private static string Hex(byte b) => string.Create(CultureInfo.InvariantCulture, $"0x{b:x2}");
}
