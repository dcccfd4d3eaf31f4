using System.Net;
using System.Net.Sockets;

namespace C10kServer.Parameters;

/// <summary>Reads IP addresses strictly.</summary>
/// <remarks>IPAddress.Parse reads '5' as 0.0.0.5 and '010.0.0.1' as 8.0.0.1. A typing error must never become an address.</remarks>
internal static class AddressText
{
    internal static IPAddress? Parse(string text) =>
        text.Contains(':') ? ParseV6(text) : ParseV4(text);

    private static IPAddress? ParseV4(string text)
    {
        string[] parts = text.Split('.');
        byte[] bytes = new byte[4];
        if (parts.Length != 4)
        {
            return null;
        }

        for (int i = 0; i < 4; i++)
        {
            string part = parts[i];
            bool plain = part.Length is >= 1 and <= 3 && part.All(char.IsAsciiDigit) && (part.Length == 1 || part[0] != '0');
            if (!plain || !byte.TryParse(part, out bytes[i]))
            {
                return null;
            }
        }

        return new IPAddress(bytes);
    }

    private static IPAddress? ParseV6(string text)
    {
        // The framework's parser also accepts brackets, ports and prefixes, which do not belong to an address.
        int scope = text.IndexOf('%', StringComparison.Ordinal);
        string number = scope < 0 ? text : text[..scope];
        return number.All(c => char.IsAsciiHexDigit(c) || c is ':' or '.')
            && IPAddress.TryParse(text, out IPAddress? address)
            && address.AddressFamily == AddressFamily.InterNetworkV6
            && (scope < 0 || address.ScopeId != 0)
            ? address
            : null;
    }
}
