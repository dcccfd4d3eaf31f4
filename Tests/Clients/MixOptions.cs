namespace C10kServer.Clients;

/// <summary>What <c>mix</c> is given besides the common options.</summary>
/// <param name="Duration">For how long new connections are begun.</param>
/// <param name="Silence">The longest that a vanishing connection is silent, half a second apart.</param>
/// <param name="Kinds">The kinds to draw from.</param>
/// <param name="Progress">Whether to tell on standard error, each second, how it goes.</param>
internal sealed record MixOptions(
    CommonOptions Common, TimeSpan Duration, TimeSpan Silence, IReadOnlyList<MixKind> Kinds, bool Progress);
