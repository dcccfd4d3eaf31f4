using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;

namespace C10kServer.Commands;

/// <summary>Finds the address at which a server can be reached from this machine. For the cmdlets that connect to a server.</summary>
internal static class LocalTarget
{
    /// <summary>The text for the case that there is no such address.</summary>
    internal const string None =
        "this machine has no IPv6 address on which a server on :: is found: ::1 is missing, and so is any other. Enable IPv6 (sysctl " +
        "net.ipv6.conf.lo.disable_ipv6=0), or start the server with -DualMode or on 127.0.0.1";

    /// <summary>
    /// An address to connect to, for a server that listens on a given address. A server on every interface is reached over loopback, but
    /// loopback has no ::1 if IPv6 is off. In that case the address is 127.0.0.1 for a server that takes IPv4, too, and otherwise another
    /// IPv6 address of the machine. Null if there is no such address.
    /// </summary>
    /// <param name="listening">The address that the server listens on.</param>
    /// <param name="dualMode">Whether a server on :: takes IPv4, too. Null if that is not known; then IPv4 is tried last.</param>
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

    /// <summary>Whether this machine has an address. It tries to bind to the address, because a bind answers that and sends nothing.</summary>
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
            // There is no descriptor for this check. The connect that follows fails for the same reason, and reports it.
            return true;
        }
    }

    /// <summary>An IPv6 address of an interface that is up. An address that needs no zone comes before other addresses.</summary>
    private static IPAddress? FindIPv6() =>
        NetworkInterface.GetAllNetworkInterfaces()
            .Where(card => card.OperationalStatus is OperationalStatus.Up or OperationalStatus.Unknown)
            .SelectMany(card => card.GetIPProperties().UnicastAddresses)
            .Select(unicast => unicast.Address)
            .Where(address => address.AddressFamily == AddressFamily.InterNetworkV6)
            .OrderBy(address => address.IsIPv6LinkLocal)
            .FirstOrDefault();
}
