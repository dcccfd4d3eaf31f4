using System.Globalization;

namespace C10kServer.Clients;

/// <summary>What became of the connections of one kind: each that was begun stands in exactly one place.</summary>
internal sealed class MixTally
{
    public int Begun { get; set; }

    /// <summary>Did all that they were to do.</summary>
    public int Well { get; private set; }

    /// <summary>Ended by the server, or by an error, before that.</summary>
    public int Cut { get; private set; }

    /// <summary>Never connected.</summary>
    public int Refused { get; private set; }

    /// <summary>Had a wrong byte, however they ended.</summary>
    public int Wrong { get; private set; }

    /// <summary>Of those that have ended.</summary>
    public long Sent { get; private set; }

    public long Received { get; private set; }

    public int Open => Begun - Well - Cut - Refused - Wrong;

    public void Count(Client client, bool didWell)
    {
        Sent += client.Sent;
        Received += client.Received;
        if (client.HasWrongBytes)
        {
            Wrong++;
        }
        else if (client.Outcome == Outcome.Failed)
        {
            Refused++;
        }
        else if (didWell)
        {
            Well++;
        }
        else
        {
            Cut++;
        }
    }

    /// <summary>As a value of an answer line.</summary>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"begun:{Begun},well:{Well},cut:{Cut},refused:{Refused},wrong:{Wrong},open:{Open},sent:{Sent},received:{Received}");
}
