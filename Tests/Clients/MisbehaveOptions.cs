namespace C10kServer.Clients;

/// <summary>What the kinds of misbehaviour are given besides the common options.</summary>
/// <param name="Bytes">How much a never-read, slow-read or garbage connection sends.</param>
/// <param name="Expect">How many bytes a half-closed connection must get; as many as it sends, where this is not given.</param>
/// <param name="Interval">The pause of the slow kinds.</param>
/// <param name="Piece">How much a slow reader takes at a time.</param>
/// <param name="Duration">When the kinds that would go on for ever stop.</param>
internal sealed record MisbehaveOptions(
    CommonOptions Common, long Bytes, long? Expect, TimeSpan Interval, int Piece, TimeSpan Duration);
