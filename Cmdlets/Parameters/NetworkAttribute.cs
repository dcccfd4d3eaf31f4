using System.Globalization;
using System.Management.Automation;
using System.Net;
using System.Net.Sockets;

namespace C10kServer.Parameters;

/// <summary>Reads the addresses of a filter: each is an address, or a network as address/prefix.</summary>
[AttributeUsage(AttributeTargets.Property | AttributeTargets.Field)]
public sealed class NetworkAttribute : ArgumentTransformationAttribute
{
    // The length of the prefix ::ffff:0:0/96. IPv6 sockets show IPv4 peers with addresses of this network.
    private const int MappedPrefix = 96;

    /// <summary>Turns the argument into networks. A single address becomes a network of one address.</summary>
    /// <param name="engineIntrinsics">Not used.</param>
    /// <param name="inputData">The argument as given.</param>
    /// <returns>An array of IPNetwork.</returns>
    public override object Transform(EngineIntrinsics engineIntrinsics, object inputData) =>
        Argument.Each(inputData).Select(Read).ToArray();

    private static IPNetwork Read(object? value) =>
        Argument.Unwrap(value) switch
        {
            IPNetwork network => network,
            IPAddress address => Network(address, null),
            IPEndPoint endPoint => Network(endPoint.Address, null),
            string text => Parse(text.Trim()),
            _ => null,
        }
        ?? throw new ArgumentTransformationMetadataException(
            $"'{value}' is neither an IP address nor a network. Give an address (192.0.2.7, 2001:db8::7) or address/prefix " +
            "(192.0.2.0/24, 2001:db8::/32).");

    private static IPNetwork? Parse(string text)
    {
        string[] parts = text.Split('/');
        if (parts.Length > 2 || AddressText.Parse(parts[0]) is not IPAddress address)
        {
            return null;
        }

        if (parts.Length == 1)
        {
            return Network(address, null);
        }

        return int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int prefix) ? Network(address, prefix) : null;
    }

    /// <summary>Whether a network contains an address. A network with a zone (fe80::%2/64) contains the addresses of that zone only.</summary>
    internal static bool Contains(IPNetwork network, IPAddress address) =>
        network.Contains(address)
        && (address.AddressFamily != AddressFamily.InterNetworkV6
            || network.BaseAddress.AddressFamily != AddressFamily.InterNetworkV6
            || network.BaseAddress.ScopeId == 0
            || network.BaseAddress.ScopeId == address.ScopeId);

    /// <summary>
    /// Makes a network. Bits after the prefix are dropped, so that a host's own address with its prefix names the host's network.
    /// </summary>
    private static IPNetwork? Network(IPAddress address, int? prefix)
    {
        if (address.IsIPv4MappedToIPv6 && prefix is null or >= MappedPrefix)
        {
            address = address.MapToIPv4();
            prefix -= MappedPrefix;
        }

        byte[] bytes = address.GetAddressBytes();
        int length = prefix ?? bytes.Length * 8;
        if (length > bytes.Length * 8)
        {
            return null;
        }

        for (int bit = length; bit < bytes.Length * 8; bit++)
        {
            bytes[bit / 8] &= (byte)~(0x80 >> (bit % 8));
        }

        // The zone is kept, because fe80::1 on one interface is a different host from fe80::1 on another interface.
        return new IPNetwork(bytes.Length == 4 ? new IPAddress(bytes) : new IPAddress(bytes, address.ScopeId), length);
    }
}
