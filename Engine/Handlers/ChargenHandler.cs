using System.Diagnostics;

namespace C10kServer.Engine.Handlers;

/// <summary>
/// Sends the rotating pattern of printable characters for as long as the peer takes it, and throws away what comes, see RFC 864.
/// Keeps no state: one serves all connections.
/// </summary>
public sealed class ChargenHandler : ConnectionHandler
{
    private const int FirstPrintable = ' ';
    private const int Printables = '~' - ' ' + 1;
    private const int LineLength = 72;

    /// <summary>After as many lines as there are characters the pattern begins anew.</summary>
    internal const int Period = Printables * (LineLength + 2);

    // Whole periods, so that every write is the same one. Two, as they just fit into one block of the pool: that is then all that a
    // peer which does not read ever costs, and far from the high-water mark, so that its end is still read.
    private const int Periods = 2;

    private static readonly byte[] Block = MakeBlock();

    // One write at a time, made when the one before is with the socket: it never outruns its reader. After the peer's end nothing
    // is added, since callbacks of writes come first: a peer that takes all at once would keep OnPeerClosed waiting for ever.
    private static readonly WriteCallback WriteNext = static (connection, reason) =>
    {
        if (reason == CloseReason.None && connection.State == ConnectionState.Open)
        {
            connection.Write(Block, WriteNext);
        }
    };

    /// <inheritdoc/>
    public override void OnOpen(Connection connection) => connection.Write(Block, WriteNext);

    private static byte[] MakeBlock()
    {
        var block = new byte[Periods * Period];
        Debug.Assert(block.Length <= BufferPool.BlockSize, "what is left over of a write takes more than a block of the pool");
        int n = 0;
        for (int line = 0; n < block.Length; line++)
        {
            for (int column = 0; column < LineLength; column++)
            {
                block[n++] = (byte)(FirstPrintable + ((line + column) % Printables));
            }

            block[n++] = (byte)'\r';
            block[n++] = (byte)'\n';
        }

        return block;
    }
}
