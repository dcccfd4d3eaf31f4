using System.Text;

namespace C10kServer.Engine.Tests.Support;

/// <summary>Lines of text, on both sides.</summary>
internal static class Lines
{
    internal static bool SendLine(this Session session, string line) => session.Send(Encoding.ASCII.GetBytes(line + "\n"));

    internal static void SendLine(this TestClient client, string line) => client.Send(Encoding.ASCII.GetBytes(line + "\n"));

    internal static void SendLines(this TestClient client, IEnumerable<string> lines) =>
        client.Send(Encoding.ASCII.GetBytes(string.Concat(lines.Select(static line => line + "\n"))));

    /// <summary>The next bytes are these lines.</summary>
    internal static void ExpectLines(this TestClient client, IEnumerable<string> lines)
    {
        string expected = string.Concat(lines.Select(static line => line + "\n"));
        Assert.Equal(expected, Encoding.ASCII.GetString(client.Receive(expected.Length)));
    }

    internal static void ExpectLine(this TestClient client, string line) => client.ExpectLines([line]);

    internal static string[] ReceiveLinesToEnd(this TestClient client) =>
        Encoding.ASCII.GetString(client.ReceiveToEnd()).Split('\n', StringSplitOptions.RemoveEmptyEntries);

    internal static string[] Numbered(int key, int count, int from = 0) =>
        [.. Enumerable.Range(from, count).Select(i => $"{key}-{i}")];
}
