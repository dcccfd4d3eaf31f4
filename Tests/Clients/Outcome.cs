namespace C10kServer.Clients;

/// <summary>How a connection ended.</summary>
internal enum Outcome
{
    /// <summary>It has not, or was never begun.</summary>
    None,

    /// <summary>It was never connected.</summary>
    Failed,

    /// <summary>By the server's FIN.</summary>
    Ended,

    /// <summary>By the server's reset, or another error.</summary>
    Reset,

    /// <summary>By us, in the ordinary way.</summary>
    Closed,

    /// <summary>By us, with a reset on purpose.</summary>
    Aborted,
}
