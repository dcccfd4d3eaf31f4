using System.Diagnostics.CodeAnalysis;

namespace C10kServer.Engine;

/// <summary>
/// Sessions that wait for a consumer, first in first out. The sessions are linked through <see cref="Session.NextReady"/>, so that adding one
/// takes no memory and cannot fail half way. A session is in it once at most. Belongs to the scheduler's lock.
/// </summary>
internal sealed class SessionQueue
{
    private Session? _last;

    internal int Count { get; private set; }

    /// <summary>The session that has waited longest.</summary>
    internal Session? First { get; private set; }

    internal void Enqueue(Session session)
    {
        if (First is null)
        {
            First = session;
        }
        else
        {
            _last!.NextReady = session;
        }

        _last = session;
        Count++;
    }

    internal bool TryDequeue([NotNullWhen(true)] out Session? session)
    {
        session = First;
        if (session is null)
        {
            return false;
        }

        First = session.NextReady;
        session.NextReady = null;
        Count--;
        return true;
    }

    internal void Clear() => (First, _last, Count) = (null, null, 0);
}
