using System.Net;

namespace C10kServer.Engine;

/// <summary>The path of a Unix domain socket. Clients of such a socket have none, as they need not bind.</summary>
public sealed class UnixEndPoint(string path) : EndPoint, IEquatable<UnixEndPoint>
{
    /// <summary>Empty for a client.</summary>
    public string Path { get; } = path;

    /// <inheritdoc/>
    public override string ToString() => $"unix:{Path}";

    /// <inheritdoc/>
    public bool Equals(UnixEndPoint? other) => other is not null && other.Path == Path;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as UnixEndPoint);

    /// <inheritdoc/>
    public override int GetHashCode() => Path.GetHashCode(StringComparison.Ordinal);
}
