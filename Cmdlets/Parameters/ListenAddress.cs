using System.ComponentModel;
using System.Net;
using C10kServer.Parameters;

namespace C10kServer;

/// <summary>
/// An address that a server listens on, as a parameter accepts it: all four parts of an IPv4 address, an IPv6 address, or 'localhost', which is
/// 127.0.0.1. Other names are not looked up.
/// </summary>
/// <remarks>
/// IPAddress reads '5' as 0.0.0.5 and '1.2' as 1.0.0.2, so that a typing error would become an address. The type does the conversion, not an
/// attribute of the parameter, because mocks, proxies and restricted endpoints omit attributes that PowerShell does not know.
/// </remarks>
[TypeConverter(typeof(ListenAddressConverter))]
public sealed class ListenAddress : IEquatable<ListenAddress>
{
    internal ListenAddress(IPAddress address) => IPAddress = address;

    /// <summary>The address as a .NET IPAddress.</summary>
    public IPAddress IPAddress { get; }

    /// <summary>Converts the address to a .NET IPAddress.</summary>
    /// <param name="address">The address.</param>
    public static implicit operator IPAddress?(ListenAddress? address) => address?.IPAddress;

    /// <summary>The address as a .NET IPAddress.</summary>
    /// <returns>The same as <see cref="IPAddress"/>.</returns>
    public IPAddress ToIPAddress() => IPAddress;

    /// <summary>Whether another object is the same address.</summary>
    /// <param name="other">The other object.</param>
    /// <returns>True if both are the same address.</returns>
    public bool Equals(ListenAddress? other) => other is not null && IPAddress.Equals(other.IPAddress);

    /// <summary>Whether an object is the same address.</summary>
    /// <param name="obj">The object.</param>
    /// <returns>True if the object is the same address.</returns>
    public override bool Equals(object? obj) => Equals(obj as ListenAddress);

    /// <summary>A hash code that is the same for equal addresses.</summary>
    /// <returns>The hash code.</returns>
    public override int GetHashCode() => IPAddress.GetHashCode();

    /// <summary>The address in the form that a parameter accepts.</summary>
    /// <returns>For instance "127.0.0.1".</returns>
    public override string ToString() => IPAddress.ToString();
}
