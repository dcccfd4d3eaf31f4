using System.Diagnostics;

namespace C10kServer.Engine.Handlers;

/// <summary>
/// Sends the rotating pattern of printable characters for as long as the peer takes it, and discards what the peer sends, see RFC 864.
/// The handler keeps no state, so one object serves all connections.
/// </summary>
public sealed class ChargenHandler : ConnectionHandler
{
    private const int FirstPrintable = ' ';
    private const int Printables = '~' - ' ' + 1;
    private const int LineLength = 72;

    /// <summary>Bytes until the pattern repeats: as many lines as there are printable characters.</summary>
    internal const int Period = Printables * (LineLength + 2);

    // Whole periods, so that every write has the same bytes. Two of them, because two just fit into one block of the pool. A peer that does not
    // read then never costs more than one block. That is also far below the high-water mark, so the peer's end is still read.
    private const int Periods = 2;

    private static readonly byte[] Block = MakeBlock();

    // One write at a time: the next one is made when the socket has taken the previous one, so the output never outruns its reader. After the
    // peer's end no write is made. Callbacks of writes run before OnPeerClosed, so a peer whose socket takes everything at once would keep
    // OnPeerClosed waiting forever.
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
