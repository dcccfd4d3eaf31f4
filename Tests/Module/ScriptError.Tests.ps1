# Script handlers that fail, that end early, and that take too long: what becomes of them, and that nobody else notices.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSReviewUnusedParameter', '', Justification = 'Handlers get them by position.')]
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSAvoidUsingWriteHost', '', Justification = 'It is what handlers do.')]
param()

BeforeAll {
    $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
    Import-Module "$root/C10kServer.psd1"
    Import-Module "$PSScriptRoot/../Clients/TestClient.psm1"
    Import-Module "$PSScriptRoot/../Clients/Talk.psm1"

    # A line, or nothing at the server's end.
    function Read-TalkOrEnd($Talk) { try { Read-Talk $Talk -Line } catch { if ("$_" -notmatch "closed after ''") { throw } '' } }

    # A thread that sleeps in .NET is left to itself: for as long as it sleeps.
    $blockMilliseconds = 3000
    $base = Get-ProcessLedger
}

Describe 'A script handler that ends early' {
    AfterEach {
        Close-Talk
        Get-C10kServer | Stop-C10kServer
        Wait-ProcessLedger -Base $base
    }

    It 'has sent what it put out before, and goes on with the next message: <Name>' -ForEach @(
        @{ Name = 'exit'; Block = { 'a'; exit; 'b' } }
        @{ Name = 'exit with a code'; Block = { 'a'; exit 3; 'b' } }
        @{ Name = 'exit in a condition in a loop'; Block = { foreach ($i in 1, 2) { if ($i -eq 1) { 'a'; exit } 'b' } } }
        @{ Name = 'exit in a function'; Block = { function Exit-Outer { 'a'; exit 3; 'b' } Exit-Outer; 'c' } }
        @{ Name = 'exit in a function in a function'; Block = { function Exit-Outer { function Exit-Inner { exit } 'a'; Exit-Inner; 'b' } Exit-Outer; 'c' } }
        @{ Name = 'exit in a pipeline'; Block = { 'a', 'b' | ForEach-Object { $_; exit } } }
        @{ Name = 'exit behind param'; Block = { param($c, $d) 'a'; & { exit }; 'b' } }
        @{ Name = 'exit in end'; Block = { end { 'a'; & { exit }; 'b' } } }
        @{ Name = 'exit in try'; Block = { try { 'a'; & { exit } } finally { $null = 1 } } }
        @{ Name = 'exit in a block with a trap'; Block = { trap { continue } 'a'; & { exit } 'b' } }
        @{ Name = 'break'; Block = { 'a'; break; 'b' } }
        @{ Name = 'break in a function'; Block = { function Exit-Outer { 'a'; break; 'b' } Exit-Outer; 'c' } }
        @{ Name = 'break in ForEach-Object'; Block = { 'a', 'b' | ForEach-Object { $_; break } } }
        @{ Name = 'continue'; Block = { 'a'; continue; 'b' } }
        @{ Name = 'continue in a function'; Block = { function Exit-Outer { 'a'; continue; 'b' } Exit-Outer; 'c' } }
        @{ Name = 'return'; Block = { 'a'; return; 'b' } }
        @{ Name = 'return with a value'; Block = { return 'a'; 'b' } }
        @{ Name = 'loops that end as loops do'; Block = { foreach ($i in 1..9) { if ($i -lt 3) { continue } break } switch (1) { 1 { break } } while ($true) { & { break } } 'a' } }
    ) {
        $server = Start-C10kServer -Framing Line -ScriptBlock $Block
        Invoke-Talk $server "x`ny`nz`n" | Should -BeExactly "a`na`na`n"
        $server.HandlerErrors | Should -Be 0
        (Get-C10kConnection -Closed).CloseReason | Should -Be PeerClosed
    }

    It 'by a function''s return ends that function' {
        $server = Start-C10kServer -Framing Line -ScriptBlock { function Get-One { 'a'; return; 'b' } Get-One; 'c' }
        Invoke-Talk $server "x`n" | Should -BeExactly "a`nc`n"
    }
}

Describe 'A script handler that fails' {
    AfterEach {
        Close-Talk
        Get-C10kServer | Stop-C10kServer
        Wait-ProcessLedger -Base $base
    }

    It 'closes its connection with HandlerError, and no other: <Name>' -ForEach @(
        @{ Name = 'throw'; Block = { if ($_ -eq 'bad') { throw "no $_" } $_ }; Says = '^no bad$' }
        @{ Name = 'an exception of .NET'; Block = { if ($_ -eq 'bad') { [int]::Parse($_) } else { $_ } }; Says = 'bad' ; Goes = $true }
        @{ Name = 'ErrorActionPreference Stop'; Block = { $ErrorActionPreference = 'Stop'; if ($_ -eq 'bad') { Get-Command not-there } $_ }; Says = "not-there" }
        @{ Name = 'ErrorAction Stop'; Block = { if ($_ -eq 'bad') { Get-Command not-there -ErrorAction Stop } $_ }; Says = "not-there" }
        @{ Name = 'an exception that is thrown'; Block = { if ($_ -eq 'bad') { throw [System.IO.IOException]::new('no disk') } $_ }; Says = 'no disk' }
        @{ Name = 'the exception of a stop'; Block = { if ($_ -eq 'bad') { throw [System.Management.Automation.PipelineStoppedException]::new() } $_ }; Says = '.' }
    ) {
        $server = Start-C10kServer -Framing Line -ScriptBlock $Block
        $other = Open-Talk $server
        foreach ($time in 1..5) {
            $talk = Open-Talk $server
            Send-Talk $talk "good`nbad`nmore`n" -Finish
            $answer = Read-Talk $talk
            $answer | Should -BeExactly $(if ($Goes) { "good`nmore`n" } else { "good`n" })
            Send-Talk $other "$time`n"
            Read-Talk $other -Line | Should -Be $time
        }

        Wait-Until { $server.Closed -eq 5 }
        $server.HandlerErrors | Should -Be 5
        $server.LastError | Should -Match $Says
        (Get-C10kConnection -Closed).CloseReason | Should -Be (@($(if ($Goes) { 'PeerClosed' } else { 'HandlerError' })) * 5)
        $server.ConnectionCount | Should -Be 1
    }

    It 'goes on after an error that does not terminate, which is counted' {
        $server = Start-C10kServer -Framing Line -ScriptBlock { Get-Command not-there; 'on' }
        Invoke-Talk $server "x`ny`n" | Should -BeExactly "on`non`n"
        $server.HandlerErrors | Should -Be 2
        $server.LastError | Should -Match 'not-there'
    }

    It 'goes on after Write-Error, and other streams disturb nothing' {
        $server = Start-C10kServer -Framing Line -ScriptBlock {
            $VerbosePreference = $DebugPreference = 'Continue'
            Write-Error 'an error'
            Write-Warning 'a warning'
            Write-Verbose 'verbose'
            Write-Debug 'debug'
            Write-Information 'information'
            Write-Host 'host'
            Write-Progress 'progress'
            'on'
        }
        Invoke-Talk $server "x`ny`n" | Should -BeExactly "on`non`n"
        $server.HandlerErrors | Should -Be 2
        $server.LastError | Should -Match 'an error'
    }

    It 'may catch what it likes, and the server knows nothing of it' {
        $server = Start-C10kServer -Framing Line -ScriptBlock { try { throw 'a' } catch { "caught $_" } Get-Command not-there -ErrorAction Ignore }
        Invoke-Talk $server "x`n" | Should -BeExactly "caught a`n"
        $server.HandlerErrors | Should -Be 0
        $server.LastError | Should -BeNullOrEmpty
    }

    It 'ten thousand times in a message, and leaves no memory behind' {
        $server = Start-C10kServer -Framing Line -HandlerCount 1 -HandlerTimeout 60 -ScriptBlock {
            $big = 'x' * 10000
            foreach ($i in 1..([int]$_)) { try { throw "$big" } catch { $null = 1 } & { [CmdletBinding()] param() $PSCmdlet.WriteVerbose($big); $PSCmdlet.WriteDebug($big)
                    $PSCmdlet.WriteInformation($big, $null); $PSCmdlet.WriteWarning("$i"); $PSCmdlet.WriteError([System.Management.Automation.ErrorRecord]::new([Exception]::new("e $big"), 'Id', 0, $null)) } -Verbose }
            'done'
        }
        $null = Invoke-Talk $server "2000`n"
        [GC]::Collect()
        $before = Get-ResidentMemory
        Invoke-Talk $server "10000`n" | Should -BeExactly "done`n"
        [GC]::Collect()
        $server.HandlerErrors | Should -Be 12000

        # All of it would be 400 MB.
        (Get-ResidentMemory) - $before | Should -BeLessThan 60MB
    }
}

Describe 'A script handler that takes too long' -Tag Slow {
    AfterEach {
        Close-Talk
        Get-C10kServer | Stop-C10kServer
        Wait-ProcessLedger -Base $base
    }

    It 'is stopped, twenty times in a row, while others are served: <Name>' -ForEach @(
        @{ Name = 'in a script'; Text = 'spin'; Handlers = 2 }
        @{ Name = 'in a call that blocks'; Text = 'sleep'; Handlers = 4 }
    ) {
        $server = Start-C10kServer -Framing Line -HandlerCount $Handlers -HandlerTimeout 150ms -ArgumentList $blockMilliseconds -ScriptBlock {
            param($Connection, $Text, $Milliseconds)
            if ($Text -eq 'spin') { while ($true) { } }
            if ($Text -eq 'sleep') { [System.Threading.Thread]::Sleep($Milliseconds) }
            $Text
        }
        $elsewhere = Start-C10kServer -Framing Line -HandlerCount 1 -ScriptBlock { $_ }
        $clients = foreach ($port in $server.Port, $elsewhere.Port) {
            Open-TestClient -Argument 'echo', '--lines', '--port', $port, '--count', 20, '--seconds', 5
        }
        $late = [System.Collections.Generic.List[double]]::new()
        foreach ($time in 1..20) {
            $talk = Open-Talk $server
            $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
            Send-Talk $talk "before`n$Text`nafter`n"
            Read-Talk $talk | Should -BeExactly "before`n"
            $late.Add($watch.Elapsed.TotalMilliseconds)
            Close-Talk $talk
        }

        foreach ($client in $clients) {
            $ledger = Read-TestClient -Client $client
            $ledger.wrong + $ledger.broken + $ledger.failed | Should -Be 0
            $ledger.messages | Should -BeGreaterThan 100
            Close-TestClient -Client $client | Should -Be 0
        }

        foreach ($milliseconds in $late) { $milliseconds | Should -BeGreaterThan 149 }
        $server.HandlerTimeouts | Should -Be 20
        $elsewhere.HandlerTimeouts | Should -Be 0
        $server.HandlerErrors | Should -Be 0
        $server.LastError | Should -Match 'took longer than 0\.15 s'
        @((Get-C10kConnection $server.Name -Closed).CloseReason) -eq 'HandlerTimeout' | Should -HaveCount 20
        Invoke-Talk $server "x`n" | Should -BeExactly "x`n"
    }

    It 'is stopped in -OnConnect and in -OnClose, too' {
        $server = Start-C10kServer -HandlerTimeout 100ms -OnConnect { while ($true) { } } -ScriptBlock { 1 } -OnClose { while ($true) { } }
        foreach ($time in 1..3) { Invoke-Talk $server 'x' | Should -BeNullOrEmpty }
        Wait-Until { $server.HandlerTimeouts -eq 6 }
    }

    It 'that a finally holds up is stopped when that is through' {
        $server = Start-C10kServer -Framing Line -HandlerCount 1 -HandlerTimeout 100ms -ScriptBlock {
            try { while ($true) { } } finally { [System.Threading.Thread]::Sleep(100) }
        }
        Invoke-Talk $server "x`n" | Should -BeNullOrEmpty
        $server.HandlerTimeouts | Should -Be 1
    }

    It 'is not stopped for time in which the process stood still' {
        $begun = [System.Threading.ManualResetEventSlim]::new()
        $server = Start-C10kServer -Framing Line -HandlerCount 1 -HandlerTimeout 3000ms -ScriptBlock {
            # It is at work before the stop, for longer than from one look of the watching thread to the next (375 ms), and after the stop.
            foreach ($step in 1..14) {
                [System.Threading.Thread]::Sleep(100)
                if ($step -eq 8) { ($using:begun).Set() }
            }
            'done'
        }
        $talk = Open-Talk $server
        Send-Talk $talk "x`n"
        $begun.Wait(20000) | Should -BeTrue
        sh -c "kill -STOP $PID; sleep 4; kill -CONT $PID"
        Read-Talk $talk -Line | Should -Be done
        $server.HandlerTimeouts | Should -Be 0
        $begun.Dispose()
    }

    It 'keeps no server from stopping within two seconds: <Name>' -ForEach @(
        @{ Name = 'in a script, with messages behind it'; Block = { while ($true) { } } }
        @{ Name = 'in a call that blocks'; Block = { [System.Threading.Thread]::Sleep(3000) } }
        @{ Name = 'in a finally that blocks'; Block = { try { while ($true) { } } finally { [System.Threading.Thread]::Sleep(3000) } } }
        @{ Name = 'in one that waits for a lock'; Block = { [System.Threading.Monitor]::Enter($using:lock); [System.Threading.Monitor]::Exit($using:lock) } }
        @{ Name = 'in one message after the other'; Block = { [System.Threading.Thread]::Sleep(200) } }
    ) {
        $lock = [object]::new()
        [System.Threading.Monitor]::Enter($lock)
        try {
            $server = Start-C10kServer -Framing Line -HandlerCount 2 -HandlerTimeout 0 -ScriptBlock $Block
            foreach ($time in 1..4) { Send-Talk (Open-Talk $server) ("x`n" * 100) }
            Wait-Until { $server.MessagesReceived -eq 400 }
            $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
            $server | Stop-C10kServer
            $watch.Ran.TotalSeconds | Should -BeLessThan 2
            $server.State | Should -Be Stopped
        } finally {
            [System.Threading.Monitor]::Exit($lock)
        }
    }

    It 'by hardly anything is stopped or is not, and costs no innocent message' {
        # 30 to 50 ms against 40.
        $server = Start-C10kServer -Framing Line -HandlerCount 4 -HandlerTimeout 40ms -ScriptBlock {
            if ($_ -match '^wait (\d+)$') {
                $end = [System.Diagnostics.Stopwatch]::GetTimestamp() + [int]$Matches[1] * [System.Diagnostics.Stopwatch]::Frequency / 1000
                while ([System.Diagnostics.Stopwatch]::GetTimestamp() -lt $end) { [System.Threading.Thread]::Sleep(1) }
            }
            $_
        }
        $seconds = if ($env:C10KSERVER_SCRIPT_SECONDS) { [int]$env:C10KSERVER_SCRIPT_SECONDS } else { 8 }
        $client = Open-TestClient -Argument 'echo', '--lines', '--port', $server.Port, '--count', 20, '--seconds', $seconds, '--timeout', ($seconds + 60)
        $talks = @{}
        $answered = $cut = 0
        $watch = [C10kServer.Tests.Shared.RunningWatch]::StartNew()
        while ($watch.Elapsed.TotalSeconds -lt $seconds - 1) {
            foreach ($lane in 1, 2) {
                $wait = 30 + ($answered + $cut) % 21
                $talks[$lane] = Open-Talk $server
                Send-Talk $talks[$lane] "wait $wait`nnext`n"
            }

            foreach ($lane in 1, 2) {
                # Whole, or nothing at all.
                $first = Read-TalkOrEnd $talks[$lane]
                if ($first) {
                    $first | Should -Match '^wait \d+$'
                    Read-TalkOrEnd $talks[$lane] | Should -BeIn 'next', ''
                    $answered++
                } else {
                    $cut++
                }

                Close-Talk $talks[$lane]
            }
        }

        $ledger = Read-TestClient -Client $client -Seconds ($seconds + 60)
        $ledger.wrong + $ledger.failed | Should -Be 0
        $Host.UI.WriteLine("    $answered about the timeout answered, $cut cut; $($ledger.messages) beside them, $($ledger.broken) of them cut")
        $answered | Should -BeGreaterThan 10
        $cut | Should -BeGreaterThan 10

        # Each cut connection is a timeout that was counted, and no other is cut.
        Wait-Until { $server.ConnectionCount -eq 0 }
        $server.HandlerTimeouts | Should -BeGreaterOrEqual $cut
        $ledger.broken | Should -Be 0
        $null = Close-TestClient -Client $client
    }
}

Describe 'A flood of messages of which every tenth fails' -Tag Many {
    It 'leaves the others alone and no memory behind' {
        $server = Start-C10kServer -Framing Line -HandlerCount 4 -LingerTimeout 1 -ScriptBlock {
            if ($ConnectionState.Count -eq 9) { throw "after nine: $_" }
            $ConnectionState[$_] = 1
            $_
        }
        $count = if ($env:C10KSERVER_SCRIPT_ERRORS) { [int]$env:C10KSERVER_SCRIPT_ERRORS } else { 20000 }
        $quiet = Start-C10kServer -Framing Line -HandlerCount 1 -ScriptBlock { $_ }

        # Each connection has its nine answers and is closed at the tenth.
        $run = {
            param($Connections)
            $bystander = Open-TestClient -Argument 'echo', '--lines', '--port', $quiet.Port, '--count', 10, '--seconds', 3
            $client = Open-TestClient -Argument 'echo', '--lines', '--port', $server.Port, '--count', $Connections, '--messages', 20, '--depth', 10, '--timeout', 120, '--connecting', 64
            $ledger = Read-TestClient -Client $client -Seconds 130
            $null = Close-TestClient -Client $client
            $other = Read-TestClient -Client $bystander
            Close-TestClient -Client $bystander | Should -Be 0
            $other.wrong + $other.broken | Should -Be 0
            $ledger.wrong | Should -Be 0
            $ledger.messages | Should -Be ($Connections * 9)
            $ledger.broken | Should -Be $Connections
        }
        & $run 1000
        [GC]::Collect()
        $before = Get-ResidentMemory
        for ($done = 0; $done -lt $count; $done += 10000) { & $run 1000 }
        $server.HandlerErrors | Should -Be (1000 + $done / 10)
        $server.LastError | Should -Match 'after nine'
        Wait-Until { $server.ConnectionCount -eq 0 }
        [GC]::Collect()
        $growth = (Get-ResidentMemory) - $before
        $Host.UI.WriteLine("    $([int]($growth / 1KB)) KiB more after $done messages of which every tenth failed")
        $growth | Should -BeLessThan 40MB
        $server, $quiet | Stop-C10kServer
        Wait-ProcessLedger -Base $base
    }
}
