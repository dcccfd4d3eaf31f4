using System.Net;

namespace C10kServer.Engine;

/// <summary>The path of a Unix domain socket. A client of such a socket has none, because a client need not bind.</summary>
public sealed class UnixEndPoint(string path) : EndPoint, IEquatable<UnixEndPoint>
{
    /// <summary>The path; empty for a client.</summary>
    public string Path { get; } = path;

    /// <summary>The path for people. It is escaped, because a file's name may hold any character. <see cref="Path"/> has it unescaped.</summary>
    /// <returns>For instance "unix:/run/web.sock".</returns>
    public override string ToString() => $"unix:{SafeText.Escape(Path)}";

    /// <inheritdoc/>
    public bool Equals(UnixEndPoint? other) => other is not null && other.Path == Path;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as UnixEndPoint);

    /// <inheritdoc/>
    public override int GetHashCode() => Path.GetHashCode(StringComparison.Ordinal);
}
