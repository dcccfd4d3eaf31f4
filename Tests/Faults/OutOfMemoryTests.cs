using System.Net;
using System.Net.Sockets;

namespace C10kServer.Faults.Tests;

/// <summary>What becomes of a server whose process has too little memory for what clients send, tried in a shell of its own: see OutOfMemory.ps1.</summary>
public class OutOfMemoryTests
{
    // What the collector may use, in hexadecimal: 64 MB, which is less than a worker's budget of unfinished input. A shell with the module takes half of it.
    private const string HeapLimit = "0x4000000";
    private const int Clients = 300;
    private const int Chunk = 50_000;
    private const int Line = 20 * Chunk;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task A_connection_for_which_there_is_no_memory_is_reset_and_the_server_goes_on(int workers)
    {
        using ShellProcess shell = ShellProcess.Start(
            "OutOfMemoryScript", [$"{workers}"], start => start.Environment["DOTNET_GCHeapHardLimit"] = HeapLimit);
        var server = new IPEndPoint(IPAddress.Loopback, await shell.ReadNumber());
        using (var bystander = new TestClient(server))
        {
            AssertEcho(bystander, "before");
            int sockets = shell.CountSockets();
            SendUnfinishedLines(server);

            // Not before the server is through with them: a shell that runs commands without memory ends, whatever module it has.
            Eventually.True(() => shell.CountSockets() <= sockets);
            await shell.WriteLine("They are gone.");
            Assert.Equal(1, await shell.ReadNumber());
            AssertEcho(bystander, "after");

            // The memory of the others is free again.
            using var late = new TestClient(server);
            AssertEcho(late, new string('x', Line));
        }

        await shell.WriteLine("And so are these.");
        await shell.AssertOk();
    }

    private static void AssertEcho(TestClient client, string line)
    {
        byte[] bytes = System.Text.Encoding.ASCII.GetBytes($"{line}\n");
        client.Send(bytes);
        Assert.Equal(bytes, client.Receive(bytes.Length));
    }

    // No line is whole, so the server has nothing to say to these clients but a reset.
    private static void SendUnfinishedLines(IPEndPoint server)
    {
        List<TestClient> clients = [.. Enumerable.Range(0, Clients).Select(_ => new TestClient(server))];
        var chunk = new byte[Chunk];
        for (int sent = 0; sent < Line; sent += Chunk)
        {
            foreach (TestClient client in clients)
            {
                int left = Chunk;
                SocketError error = SocketError.Success;
                while (left > 0 && error == SocketError.Success)
                {
                    left -= client.Socket.Send(chunk, 0, left, SocketFlags.None, out error);
                }
            }
        }

        Eventually.True(() => clients.Any(static client => client.Socket.Poll(0, SelectMode.SelectRead)));
        clients.ForEach(static client => client.Reset());
    }
}
