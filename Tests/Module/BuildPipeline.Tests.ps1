# A test file as a build pipeline would have it, with a client that retries as what is tested. It may run beside a copy of itself:
# no names, no ports of its own, and only its own servers are looked at.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeAll {
    Import-Module "$([System.IO.Path]::GetFullPath("$PSScriptRoot/../.."))/C10kServer.psd1"

    # The client under test: a request and its answer, on a new connection each time it fails.
    function Invoke-RetryingClient {
        param([int] $Port, [string] $Request, [int] $Retry = 3)
        for ($try = 1; ; $try++) {
            $client = [System.Net.Sockets.TcpClient]::new()
            try {
                $client.ReceiveTimeout = 180000
                $client.Connect([System.Net.IPAddress]::Loopback, $Port)
                $stream = $client.GetStream()
                $stream.Write([System.Text.Encoding]::UTF8.GetBytes("$Request`n"))
                $answer = [System.IO.StreamReader]::new($stream).ReadLine()
                if ($null -eq $answer) { throw [System.IO.EndOfStreamException]::new('The server closed without an answer.') }
                return [pscustomobject]@{ Answer = $answer; Tries = $try }
            } catch {
                if ($try -gt $Retry) { throw }
            } finally {
                $client.Dispose()
            }
        }
    }

    $seen = [System.Collections.Concurrent.ConcurrentQueue[string]]::new()
    $flaky = [System.Collections.Concurrent.ConcurrentDictionary[string, int]]::new()
    $server = Start-C10kServer -Framing Line -HandlerCount 2 -ScriptBlock {
        ($using:seen).Enqueue($_)
        switch -Regex ($_) {
            '^flaky' { if (($using:flaky).AddOrUpdate($_, 1, { $args[1] + 1 }) -lt 3) { $Connection.Abort() } else { 'at last' } }
            '^never' { $Connection.Close() }
            default { "you said $_" }
        }
    }
    $echo = Start-C10kServer
}

AfterAll {
    Stop-C10kServer $server.Name, $echo.Name
    foreach ($one in $server, $echo) {
        $one.State | Should -Be Stopped
        $one.Accepted | Should -Be $one.Closed
        $one.ConnectionCount | Should -Be 0
    }
}

Describe 'A client that retries' {
    It 'gets its answer at the first try, and closes' {
        $result = Invoke-RetryingClient -Port $server.Port -Request hello
        $result.Answer | Should -Be 'you said hello'
        $result.Tries | Should -Be 1
        Wait-C10kServer $server.Name -ConnectionCount 0 -Timeout 3m
        (Get-C10kConnection $server.Name -Closed)[0].CloseReason | Should -Be PeerClosed
        (Get-C10kConnection $server.Name -Closed)[0].MessagesReceived | Should -Be 1
    }

    It 'comes again after a reset, until it is answered' {
        $before = $server.Accepted
        $result = Invoke-RetryingClient -Port $server.Port -Request 'flaky one'
        $result.Answer | Should -Be 'at last'
        $result.Tries | Should -Be 3
        $server.Accepted - $before | Should -Be 3
        Wait-C10kServer $server.Name -ConnectionCount 0 -Timeout 3m
        @((Get-C10kConnection $server.Name -Closed).CloseReason) -eq 'Aborted' | Should -HaveCount 2
    }

    It 'gives up where there is never an answer, and leaves no connection' {
        { Invoke-RetryingClient -Port $server.Port -Request never -Retry 2 } | Should -Throw '*closed without an answer*'
        Wait-C10kServer $server.Name -ConnectionCount 0 -Timeout 3m
        @($seen) -eq 'never' | Should -HaveCount 3
        $server.HandlerErrors | Should -Be 0
    }

    It 'finds the server again after a restart, on the same port' {
        $port = $echo.Port
        Restart-C10kServer $echo.Name
        $echo.Port | Should -Be $port
        (Invoke-RetryingClient -Port $port -Request again).Answer | Should -Be again
        Wait-C10kServer $echo.Name -ConnectionCount 0 -Timeout 3m
        $echo.BytesReceived | Should -Be 6
        $echo.BytesSent | Should -Be 6
    }
}
