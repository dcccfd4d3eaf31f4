using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;

namespace C10kServer.Commands;

/// <summary>Where a server is found from this machine, for the cmdlets that connect to one.</summary>
internal static class LocalTarget
{
    /// <summary>What is said where there is none.</summary>
    internal const string None =
        "this machine has no IPv6 address on which a server on :: is found: ::1 is missing, and so is any other. Enable IPv6 (sysctl " +
        "net.ipv6.conf.lo.disable_ipv6=0), or start the server with -DualMode or on 127.0.0.1";

    /// <summary>
    /// An address to connect to, for a server that listens on this one. Every interface has loopback among its addresses, but loopback has no
    /// ::1 where IPv6 is off; then it is 127.0.0.1 for a server that takes IPv4 too, else another IPv6 address of the machine. Null: none.
    /// </summary>
    /// <param name="listening">Where the server listens.</param>
    /// <param name="dualMode">Whether a server on :: takes IPv4 too. Null: not known, so that IPv4 is the last resort.</param>
    internal static IPAddress? For(IPAddress listening, bool? dualMode)
    {
        if (listening.Equals(IPAddress.Any))
        {
            return IPAddress.Loopback;
        }

        if (!listening.Equals(IPAddress.IPv6Any))
        {
            return listening;
        }

        return IsHere(IPAddress.IPv6Loopback) ? IPAddress.IPv6Loopback
            : dualMode == true ? IPAddress.Loopback
            : FindIPv6() ?? (dualMode is null ? IPAddress.Loopback : null);
    }

    /// <summary>Whether this machine has an address. A bind to it says so, and sends nothing.</summary>
    private static bool IsHere(IPAddress address)
    {
        try
        {
            using Socket socket = new(address.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
            socket.Bind(new IPEndPoint(address, 0));
            return true;
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.AddressNotAvailable or SocketError.AddressFamilyNotSupported)
        {
            return false;
        }
        catch (SocketException)
        {
            // Without a descriptor for the question: the connect that follows has the same trouble, and says so.
            return true;
        }
    }

    /// <summary>An IPv6 address of any interface that is up, one that needs no zone before others.</summary>
    private static IPAddress? FindIPv6() =>
        NetworkInterface.GetAllNetworkInterfaces()
            .Where(card => card.OperationalStatus is OperationalStatus.Up or OperationalStatus.Unknown)
            .SelectMany(card => card.GetIPProperties().UnicastAddresses)
            .Select(unicast => unicast.Address)
            .Where(address => address.AddressFamily == AddressFamily.InterNetworkV6)
            .OrderBy(address => address.IsIPv6LinkLocal)
            .FirstOrDefault();
}
